#include "net/access.h"

#include <errno.h>
#include <stdio.h>

#include "net/identity.h"
#include "ops/log.h"

/* The roles that may connect to a socket. Commands are checked for each message. Feed and presence
 * reach every subscriber, so only a role that may see everything is admitted. */
static const unsigned admitted_roles[BUS_SOCKETS] = {
    [BUS_COMMANDS] = ROLE_PUBLISHER | ROLE_OPERATOR,
    [BUS_SYNC] = ROLE_WORKER,
    [BUS_FEED] = ROLE_WORKER,
    [BUS_PRESENCE] = ROLE_OPERATOR,
};
static const char *const socket_names[BUS_SOCKETS] = {"commands", "sync", "feed", "presence"};

static bool may_connect(const struct peer_key *key, enum bus_socket socket)
{
    return key && (key->grant.roles & admitted_roles[socket]) &&
           !(socket == BUS_PRESENCE && key->grant.limited);
}

void access_warn(const struct keys *keys, const char *file)
{
    if (keys_count(keys) == 0)
        log_warn("--keys %s: no keys; every connection to a tcp endpoint is refused", file);
}

int access_open(struct access *a, const char *file, uint64_t *counters)
{
    char why[KEYS_WHY_MAX];
    *a = (struct access){.file = file, .counters = counters};
    if (!file)
        return 0;
    a->keys = keys_load(file, why);
    if (!a->keys) {
        log_error("--keys %s", why);
        return -EINVAL;
    }
    identity_use(a->keys);
    access_warn(a->keys, file);
    return 0;
}

void access_close(struct access *a)
{
    identity_use(NULL);
    keys_free(&a->keys);
}

bool access_admit(void *context, enum bus_socket socket, struct slice text, struct slice address)
{
    struct access *a = context;
    const struct peer_key *key = keys_find(a->keys, text);
    if (may_connect(key, socket))
        return true;
    a->counters[KEYS_REFUSED]++;
    if (key)
        log_event(LOG_WARN, "key refused: its role may not connect here",
                  log_name("socket", socket_names[socket]), log_text("name", key->name),
                  log_name("role", keys_role_name(key->grant.roles)), log_text("address", address));
    else
        log_event(LOG_WARN, "key refused: not in the keys file",
                  log_name("socket", socket_names[socket]), log_text("key", text),
                  log_text("address", address));
    return false;
}

const struct grant *access_grant(const struct access *a, const struct bus_message *m)
{
    static const struct grant nothing = {0};
    if (!a->keys || !m->user.len)
        return &grant_everything;
    const struct peer_key *key = keys_find(a->keys, m->user);
    return key ? &key->grant : &nothing;
}

/* The number of keys that were removed. Sets cut[i] if a revoked peer may still be connected to
 * socket i. */
static size_t compare_keys(const struct keys *old, const struct keys *new, bool cut[BUS_SOCKETS])
{
    const struct peer_key *key;
    size_t gone = 0;
    for (size_t i = 0; (key = keys_at(old, i)); i++) {
        const struct peer_key *now = keys_find(new, slice_of(key->text.text));
        gone += !now;
        for (int s = 0; s < BUS_SOCKETS; s++)
            cut[s] = cut[s] || (may_connect(key, (enum bus_socket)s) &&
                                !may_connect(now, (enum bus_socket)s));
    }
    return gone;
}

/* The keys of the file, or NULL with a line in why. An empty file is one that is about to be
 * written, or whose writer failed: it must not cut off every client. A comment alone does. */
static struct keys *load_again(const char *file, char why[KEYS_WHY_MAX])
{
    struct keys *fresh = keys_load(file, why);
    if (!fresh || !keys_is_blank(fresh))
        return fresh;

    keys_free(&fresh);
    snprintf(why, KEYS_WHY_MAX, "%s: the file is empty; to remove all keys, write a comment (#)",
             file);
    return NULL;
}

void access_reload(struct access *a, bool cut[BUS_SOCKETS])
{
    char why[KEYS_WHY_MAX];
    for (int s = 0; s < BUS_SOCKETS; s++)
        cut[s] = false;
    if (!a->file) {
        log_each(LOG_INFO, "nothing to reload: --keys is not set");
        return;
    }
    struct keys *fresh = load_again(a->file, why);
    if (!fresh) {
        log_each_event(LOG_ERROR, "keys not reloaded: the old keys stay in force",
                       log_name("why", why));
        return;
    }
    size_t gone = compare_keys(a->keys, fresh, cut);
    identity_use(fresh);
    keys_free(&a->keys);
    a->keys = fresh;
    log_each_event(LOG_INFO, "keys reloaded", log_count("keys", keys_count(fresh)),
                   log_count("removed", gone));
}
