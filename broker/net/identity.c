#include "net/identity.h"

#include <pthread.h>
#include <strings.h>

#define ID_MAX 255u
#define VOUCH_BYTES 96u /* a nonce and a box */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const struct keys *known; /* under the lock */

void identity_use(const struct keys *keys)
{
    pthread_mutex_lock(&lock);
    known = keys;
    pthread_mutex_unlock(&lock);
}

static bool is_worker(const unsigned char key[CURVE_KEY_BYTES])
{
    struct curve_key text;
    curve_key_encode(key, &text);
    pthread_mutex_lock(&lock);
    const struct peer_key *found = known ? keys_find(known, slice_of(text.text)) : NULL;
    bool worker = found && (found->grant.roles & ROLE_WORKER);
    pthread_mutex_unlock(&lock);
    return worker;
}

/* A property is a byte with the length of its name, the name, the length of its value (u32, big
 * endian), and the value. */
struct property {
    unsigned char *name, *value;
    size_t name_len, value_len;
};

static bool next_property(unsigned char **at, const unsigned char *end, struct property *p)
{
    size_t left = (size_t)(end - *at);
    if (left < 1 || left - 1 < (size_t) * *at + 4)
        return false;

    p->name_len = **at;
    p->name = *at + 1;
    const unsigned char *n = p->name + p->name_len;
    p->value_len = (size_t)n[0] << 24 | (size_t)n[1] << 16 | (size_t)n[2] << 8 | n[3];
    p->value = p->name + p->name_len + 4;
    *at = p->value;
    if ((size_t)(end - p->value) < p->value_len)
        return false;

    *at += p->value_len;
    return true;
}

static bool is_identity(const struct property *p)
{
    struct slice name = slice_of("Identity");
    return p->name_len == name.len && strncasecmp((const char *)p->name, name.data, name.len) == 0;
}

void identity_restrict(unsigned char *initiate, size_t len)
{
    struct property p;
    if (len < CURVE_KEY_BYTES + VOUCH_BYTES)
        return;

    bool worker = is_worker(initiate);
    unsigned char *at = initiate + CURVE_KEY_BYTES + VOUCH_BYTES;
    while (next_property(&at, initiate + len, &p))
        if (is_identity(&p) && p.value_len && (!worker || p.value_len > ID_MAX || p.value[0] == 0))
            p.name[0] = 'X'; /* libzmq ignores properties that it does not know */
}
