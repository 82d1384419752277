/* privilege.h - a word to those who give these programs more power than they use. */
#ifndef SSECAST_PRIVILEGE_H
#define SSECAST_PRIVILEGE_H

/* A line in the log when this process runs as root. It goes on: in containers everything does. */
void privilege_warn(void);

#endif
