#include "setup.h"

#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "ops/log.h"

/* --- names --- */

static void make_names(struct worker *w, char prefix[24])
{
    char host[64] = "";
    uint64_t random = 0;
    gethostname(host, sizeof host - 1);
    if (getrandom(&random, sizeof random, 0) < 0)
        random = (uint64_t)clock_unix_us();
    snprintf(w->name, sizeof w->name, "%s-%ld-%08" PRIx32, host, (long)getpid(), (uint32_t)random);
    snprintf(prefix, 24, "%016" PRIx64, random);
}

/* What the values of --meta are called. */
static void make_labels(struct worker *w)
{
    for (size_t i = 0; i < w->options.meta.count && w->label_count < META_MAX; i++) {
        char *text = w->label_texts[w->label_count];
        if (*request_meta_label(w->options.meta.items[i], text))
            w->labels[w->label_count++] = slice_of(text);
    }
}

/* --- parts --- */

/* Raise the limit of open files as far as it goes. The number of streams, each of which takes one
 * file: what is configured, else all but a sixteenth of that limit. */
static uint64_t stream_limit(uint64_t configured)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return configured ? configured : 960;
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    uint64_t most = files.rlim_cur / 16 * 15;
    if (configured > most)
        log_warn("max-connections %" PRIu64 " exceeds the limit of open files (%" PRIu64 ")",
                 configured, (uint64_t)files.rlim_cur);
    return configured ? configured : most;
}

static int open_streams(struct worker *w, const char *prefix)
{
    const struct options *o = &w->options;
    w->streams.loop = w->loop;
    w->streams.exchanges = &w->exchanges;
    w->streams.name = w->name;
    w->streams.started_ms = clock_unix_ms();
    w->streams.request_rules = (struct request_rules){.session_from = &o->session_from,
                                                      .channels_from = &o->channels_from,
                                                      .cors_origins = &o->cors_origins,
                                                      .meta = &o->meta,
                                                      .max_channels = (size_t)o->max_channels,
                                                      .max_name_bytes = (size_t)o->max_name_bytes};
    w->streams.reply_rules = (struct reply_rules){&o->headers, &o->cors_origins};
    w->streams.limits = (struct stream_limits){
        .connections = stream_limit(o->max_connections),
        .per_session = o->max_per_session,
        .per_address = o->max_per_address,
        .connect_rate = o->connect_rate,
        .heartbeat_ms = o->heartbeat_ms,
        .retry = (uint32_t)o->retry_ms,
        .window_bytes = o->window_bytes,
        .publish_bytes = o->publish ? (size_t)o->publish_bytes : 0,
    };
    w->streams.mercure = (struct mercure_rules){.subscriptions = o->mercure_subscriptions,
                                                .anonymous = o->mercure_anonymous,
                                                .max_topics = (size_t)o->max_channels,
                                                .max_topic_bytes = (size_t)o->max_name_bytes,
                                                .max_patterns = (size_t)o->mercure_max_patterns,
                                                .publish_bytes = (size_t)o->publish_bytes,
                                                .cors_origins = &o->cors_origins};
    exchanges_init(&w->exchanges, w->loop, (size_t)o->queue_bytes, (int64_t)o->write_timeout_ms,
                   w->streams.counters);
    bool many = o->io_uring && !w->listening.cgi;
    int err = many ? conns_write_together(&w->exchanges.conns) : 0;
    if (err)
        log_info("io_uring is not available (%s): each stream is written by itself",
                 strerror(-err));
    return streams_init(&w->streams, prefix, (size_t)o->queue_bytes);
}

/* Where Apache passes the sockets of browsers. False with a line in the log. */
static bool open_handoff(struct worker *w)
{
    const struct options *o = &w->options;
    if (!o->handoff || w->listening.cgi)
        return true;
    const struct passwd *user = options_find_user(o->handoff_user);
    if (!user) {
        log_error("--handoff-user %s: no such user any more", o->handoff_user);
        return false;
    }

    struct handoff_config config = {.folder = o->handoff,
                                    .peer = user->pw_uid,
                                    .group = user->pw_gid,
                                    /* The worker's own timeout comes first. */
                                    .user_timeout_ms = 2 * (int64_t)o->write_timeout_ms};
    w->streams.redirects = (struct stream_redirects){o->handoff_url, o->handoff_fallback};
    w->exchanges.handoffs =
        handoffs_new(w->loop, &config, &exchange_handoff_hooks, w->streams.counters);
    if (w->exchanges.handoffs)
        log_info("hand-off: SCGI at %s, sockets from user %s in %s",
                 o->handoff_listen ? o->handoff_listen : "inherited socket", o->handoff_user,
                 o->handoff);
    return w->exchanges.handoffs != NULL;
}

static void open_services(struct worker *w)
{
    w->services = (struct services){
        .streams = &w->streams,
        .monitor = w->monitor,
        .route_rules = {.mounts = &w->options.mounts,
                        .mercure = w->options.mercure,
                        .cgi = w->listening.cgi},
    };
    services_init(&w->services);
}

static bool open_upstream(struct worker *w)
{
    const struct options *o = &w->options;
    char why[CURVE_KEY_WHY];
    if (curve_client_load(&w->curve, o->curve_key_file, o->broker_keys.items, o->broker_keys.count,
                          o->feeds.count, why) != 0) {
        log_error("%s", why);
        return false;
    }
    struct upstream_pace pace = UPSTREAM_PACE;
    pace.silence = (int64_t)o->broker_timeout_ms;

    struct upstream_config config = {
        .pace = pace,
        .feeds = o->feeds.items,
        .syncs = o->syncs.items,
        .brokers = o->feeds.count,
        .curve = &w->curve,
        .name = w->name,
        .labels = {w->labels, w->label_count},
        .counters = w->streams.counters,
        .ordering = &w->streams.ordering,
        .repairs = &w->streams.counters[REPAIRS],
    };
    w->upstream = w->streams.upstream = upstream_new(&config, w->loop);
    return w->upstream != NULL;
}

/* Load the keys, if there are any to judge tokens with. False with a line in the log. */
static bool open_tokens(struct worker *w)
{
    const struct options *o = &w->options;
    struct token_rules rules = {.secret_file = o->jwt_secret_file,
                                .key_file = o->jwt_key_file,
                                .issuer = o->jwt_issuer,
                                .audience = &o->jwt_audience,
                                .cookie = o->jwt_cookie,
                                .leeway_ms = (int64_t)o->jwt_leeway_ms};
    if (!rules.secret_file && !rules.key_file)
        return true;

    w->streams.tokens = tokens_new(&rules);
    return w->streams.tokens != NULL;
}

bool setup_keys(struct worker *w)
{
    w->monitor = monitor_new(&w->options.monitor_from, &w->options.monitor_hosts,
                             w->options.monitor_token_file);
    return w->monitor && open_tokens(w);
}

bool setup_parts(struct worker *w)
{
    char prefix[24];
    make_names(w, prefix);
    make_labels(w);
    if (open_streams(w, prefix) != 0) {
        log_error("cannot start: %s", strerror(ENOMEM));
        return false;
    }

    open_services(w);
    if (!open_handoff(w) || !open_upstream(w))
        return false;
    if (!w->listening.cgi)
        options_warn(&w->options);
    return true;
}
