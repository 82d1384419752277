#include "stream/addresses.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/must.h"
#include "base/table.h"

#define SECOND_US INT64_C(1000000)
#define FORGET_MAX 4 /* addresses removed for one request: more than are added */

struct address {
    uint64_t streams;
    int64_t next_us;           /* when the next request would be due at the exact rate */
    TAILQ_ENTRY(address) link; /* in the list of those without streams, the longest silent first */
};

struct addresses {
    uint64_t max_streams;
    int64_t interval_us; /* between requests; 0: no limit */
    struct table *table;
    TAILQ_HEAD(, address) without; /* streams */
    size_t idle;
};

/* --- keys --- */

#define KEY_BYTES 16u

static bool is_mapped(const unsigned char *bytes)
{
    static const unsigned char prefix[12] = {[10] = 0xff, [11] = 0xff};
    return memcmp(bytes, prefix, sizeof prefix) == 0;
}

/* The key of the address in remote. False: it is not an address. */
static bool read_key(const char *remote, unsigned char key[KEY_BYTES])
{
    char text[INET6_ADDRSTRLEN] = "";
    size_t len = remote ? strcspn(remote, "%") : 0; /* without a link-local interface */
    if (!remote || len == 0 || len >= sizeof text)
        return false;

    memcpy(text, remote, len);
    memset(key, 0, KEY_BYTES);
    key[10] = key[11] = 0xff;

    if (inet_pton(AF_INET, text, key + 12) == 1)
        return true;
    if (inet_pton(AF_INET6, text, key) != 1)
        return false;

    if (!is_mapped(key))
        memset(key + 8, 0, 8);
    return true;
}

/* --- the list of addresses without streams --- */

static void list_append(struct addresses *a, struct address *address)
{
    TAILQ_INSERT_TAIL(&a->without, address, link);
    a->idle++;
}

static void list_remove(struct addresses *a, struct address *address)
{
    MUST(a->idle > 0);
    TAILQ_REMOVE(&a->without, address, link);
    a->idle--;
}

/* Remove addresses whose rate has no effect now, and those above ADDRESSES_IDLE_MAX. */
static void addresses_forget(struct addresses *a, int64_t now_us)
{
    struct address *oldest;
    for (int i = 0; i < FORGET_MAX && (oldest = TAILQ_FIRST(&a->without)); i++) {
        if (oldest->next_us > now_us && a->idle <= ADDRESSES_IDLE_MAX)
            break;
        list_remove(a, oldest);
        table_remove(a->table, oldest);
    }
}

/* --- interface --- */

struct addresses *addresses_new(uint64_t max_streams, uint64_t rate)
{
    struct addresses *a = calloc(1, sizeof *a);
    if (!a)
        return NULL;
    TAILQ_INIT(&a->without);
    a->max_streams = max_streams;
    a->interval_us = rate ? SECOND_US / (int64_t)rate : 0;
    a->table = table_new(sizeof(struct address));
    if (!a->table)
        addresses_free(&a);
    return a;
}

void addresses_free(struct addresses **a)
{
    if (!*a)
        return;
    table_free(&(*a)->table);
    free(*a);
    *a = NULL;
}

/* The address, moved to the end of its list. */
static struct address *addresses_find(struct addresses *a, const unsigned char key[KEY_BYTES])
{
    struct slice name = {(const char *)key, KEY_BYTES};
    struct address *address = table_find(a->table, name);
    if (address && !address->streams)
        list_remove(a, address);
    if (!address)
        address = table_insert(a->table, name);
    if (address && !address->streams)
        list_append(a, address);
    return address;
}

/* The generic cell rate algorithm: a burst of one second, then one request in each interval. */
static bool in_time(const struct addresses *a, struct address *address, int64_t now_us)
{
    int64_t due = address->next_us > now_us ? address->next_us : now_us;
    if (due + a->interval_us > now_us + SECOND_US)
        return false;
    address->next_us = due + a->interval_us;
    return true;
}

bool addresses_admit(struct addresses *a, const char *remote, int64_t now_ms, struct address **out)
{
    unsigned char key[KEY_BYTES];

    addresses_forget(a, now_ms * 1000);
    *out = read_key(remote, key) ? addresses_find(a, key) : NULL;
    return !*out || in_time(a, *out, now_ms * 1000);
}

bool address_full(const struct addresses *a, const struct address *address)
{
    return a->max_streams && address->streams >= a->max_streams;
}

void address_open(struct addresses *a, struct address *address)
{
    if (address->streams++ == 0)
        list_remove(a, address);
}

void address_close(struct addresses *a, struct address *address)
{
    if (--address->streams == 0)
        list_append(a, address);
}

size_t addresses_count(const struct addresses *a)
{
    return table_count(a->table);
}
