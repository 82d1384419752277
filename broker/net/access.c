#include "net/access.h"

#include <errno.h>

#include "ops/log.h"

/* Who may connect to a socket. What goes over commands is judged message by message, whose sender is known; what is published is not, so it
 * is for those who may see all of it. */
static const unsigned admitted_roles[BUS_SOCKETS] = {
    [BUS_COMMANDS] = ROLE_PUBLISHER | ROLE_OPERATOR,
    [BUS_SYNC] = ROLE_WORKER,
    [BUS_FEED] = ROLE_WORKER,
    [BUS_PRESENCE] = ROLE_OPERATOR,
};
static const char *const socket_names[BUS_SOCKETS] = {"commands", "sync", "feed", "presence"};

static bool may_connect(const struct key *key, enum bus_socket socket)
{
    return key && (key->grant.roles & admitted_roles[socket]) && !(socket == BUS_PRESENCE && key->grant.limited);
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
    if (keys_count(a->keys) == 0)
        log_warn("--keys %s: there is no key in it, so nobody may connect to the tcp endpoints", file);
    return 0;
}

void access_close(struct access *a)
{
    keys_free(&a->keys);
}

bool access_admit(void *context, enum bus_socket socket, struct slice text, struct slice address)
{
    struct access *a = context;
    const struct key *key = keys_find(a->keys, text);
    if (may_connect(key, socket))
        return true;
    a->counters[KEYS_REFUSED]++;
    if (key)
        log_event(LOG_WARN, "a key may not connect here", log_name("socket", socket_names[socket]),
                  log_text("name", key->name), log_name("role", keys_role_name(key->grant.roles)),
                  log_text("address", address));
    else
        log_event(LOG_WARN, "a key that is not among the keys was refused", log_name("socket", socket_names[socket]),
                  log_text("key", text), log_text("address", address));
    return false;
}

const struct grant *access_grant(const struct access *a, const struct bus_message *m)
{
    static const struct grant nothing = {0};
    if (!a->keys || !m->user.len)
        return &grant_everything;
    const struct key *key = keys_find(a->keys, m->user);
    return key ? &key->grant : &nothing;
}

/* Who was admitted by old and is not by new? */
static size_t compare(const struct keys *old, const struct keys *new, bool cut[BUS_SOCKETS])
{
    const struct key *key;
    size_t gone = 0;
    for (size_t i = 0; (key = keys_at(old, i)); i++) {
        const struct key *now = keys_find(new, slice_of(key->text.text));
        gone += !now;
        for (int s = 0; s < BUS_SOCKETS; s++)
            cut[s] = cut[s] || (may_connect(key, (enum bus_socket)s) && !may_connect(now, (enum bus_socket)s));
    }
    return gone;
}

void access_reload(struct access *a, bool cut[BUS_SOCKETS])
{
    char why[KEYS_WHY_MAX];
    for (int s = 0; s < BUS_SOCKETS; s++)
        cut[s] = false;
    a->readings++;
    if (!a->file) {
        log_info("there is nothing to read anew: no --keys are configured");
        return;
    }
    struct keys *fresh = keys_load(a->file, why);
    if (!fresh) {
        log_event(LOG_ERROR, "the keys cannot be read anew and stay as they were", log_name("why", why),
                  log_count("reading", a->readings));
        return;
    }
    size_t gone = compare(a->keys, fresh, cut);
    keys_free(&a->keys);
    a->keys = fresh;
    log_event(LOG_INFO, "the keys were read anew", log_count("keys", keys_count(fresh)), log_count("removed", gone),
              log_count("reading", a->readings));
}
