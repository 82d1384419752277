/* table.h - a hash table from names (any bytes) to values of one fixed size.
 *
 * A value is made of integers and pointers: it is aligned for no larger type. It lives inside its
 * entry, next to its name: one allocation each, and its address does not change until it is
 * removed. There is no locking and no order. The hash is keyed (hash.h), so names may come from
 * outside.
 *
 * Ownership: the table owns entries and names; what a value points to is the caller's.
 */
#ifndef SSECAST_TABLE_H
#define SSECAST_TABLE_H

#include "base/slice.h"

struct table;

#define TABLE_NAME_MAX 0x3fffffu /* bytes */

/* An empty table whose values have value_size bytes. NULL when out of memory. */
struct table *table_new(size_t value_size);

/* Free the table and every entry, and set *t to NULL. Safe on a NULL table. */
void table_free(struct table **t);

/* The value under name, or NULL. */
void *table_find(const struct table *t, struct slice name);

/* The value under name; where there is none, a new one with all bytes zero. NULL when out of
 * memory, or when the name is longer than TABLE_NAME_MAX. */
void *table_insert(struct table *t, struct slice name);

/* Remove a value that table_find() or table_insert() returned. This frees the value and its
 * name. */
void table_remove(struct table *t, void *value);

/* The name of a value. Valid as long as the value. */
struct slice table_name(const void *value);

/* Walk: the first value for NULL, then the next; NULL at the end. The current value may be removed
 * when the next one was fetched before. Values that are inserted meanwhile may be met or not; each
 * other one is met once. */
void *table_next(const struct table *t, const void *value);

size_t table_count(const struct table *t);

/* The number of entries in the fullest bucket, the most that a lookup compares. For tests: it
 * walks all buckets. */
size_t table_longest_chain(const struct table *t);

#endif
