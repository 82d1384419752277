/* pgsql.h - the bridge from PostgreSQL, as a program. */
#ifndef SSECAST_PGSQL_H
#define SSECAST_PGSQL_H

/* Run it. The exit status. */
int pgsql_main(int argc, char **argv);

#endif
