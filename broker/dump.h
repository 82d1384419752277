/* dump.h - prints and checks a store that no broker uses.
 *
 * The output is one JSON object a line: events and broker starts in order, then a summary. The
 * store is not changed.
 */
#ifndef SSECAST_DUMP_H
#define SSECAST_DUMP_H

#include <stdio.h>

/* Print the store in the directory dir to out. 0 when the store is sound. 1 when it is damaged, in
 * use or missing: a line on stderr says why, and everything before the damage has been printed. */
int dump_store(const char *dir, FILE *out);

#endif
