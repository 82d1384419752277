/* privilege.h - warns when a program runs as root. */
#ifndef SSECAST_PRIVILEGE_H
#define SSECAST_PRIVILEGE_H

/* Log a warning when this process runs as root, and continue: in containers that is common. */
void privilege_warn(void);

#endif
