/* dump.h - shows a store to people and scripts while no broker uses it, and checks it.
 *
 * It writes one JSON object on each line: the events and the places where a broker started, in order, then a summary. It changes nothing.
 */
#ifndef SSECAST_DUMP_H
#define SSECAST_DUMP_H

#include <stdio.h>

/* Print the store in the directory dir to out. 0 when the store is sound. 1 when it is damaged, in use or not there; a line on stderr
 * says why, and what was read before the damage has been printed. */
int dump_store(const char *dir, FILE *out);

#endif
