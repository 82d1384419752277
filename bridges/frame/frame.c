#define LOG_SUBSYSTEM "bridge"
#include "frame/frame.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/must.h"
#include "ops/curve_key.h"
#include "ops/log.h"
#include "ops/notify.h"
#include "ops/privilege.h"
#include "ops/secret_file.h"
#include "ops/variables.h"

#define FIRST_WAIT_MS 500
#define LAST_WAIT_MS 30000
#define TICK_MS 1000
#define SECRET_MAX 4096u

/* ---- files ---- */

static int load_keys(const struct frame_options *o, struct curve_client *keys,
                     char why[CURVE_KEY_WHY])
{
    char *broker = o->broker_key;
    return curve_client_load(keys, o->curve_key_file, &broker, broker != NULL, 1, why);
}

int frame_check(const struct frame_options *o, char why[OPTION_WHY_MAX])
{
    struct curve_client keys = {0};
    char detail[CURVE_KEY_WHY];
    int err = load_keys(o, &keys, detail);
    curve_client_release(&keys);
    if (err)
        snprintf(why, OPTION_WHY_MAX, "%s", detail);
    return err;
}

int frame_read_secret(const char *option, const char *file, char **out, char why[OPTION_WHY_MAX])
{
    struct stat info;
    *out = NULL;
    if (stat(file, &info) == 0 && info.st_mode & S_IROTH) {
        snprintf(why, OPTION_WHY_MAX,
                 "--%s %.200s: every user may read it; set its mode to 0640 or 0600", option, file);
        return -EINVAL;
    }

    char detail[SECRET_FILE_WHY];
    int err = secret_file_read_text(file, SECRET_MAX, out, detail);
    if (err)
        snprintf(why, OPTION_WHY_MAX, "--%s %.200s: %s", option, file, detail);
    return err;
}

/* ---- start and end ---- */

static int open_delivery(struct frame *f, const struct frame_options *o)
{
    struct curve_client keys = {0};
    char why[CURVE_KEY_WHY];
    struct ssecast_publisher_options options = {.endpoints = (const char *const *)&o->commands,
                                                .endpoint_count = 1,
                                                .timeout_ms = (uint32_t)o->timeout_ms};
    if (load_keys(o, &keys, why) != 0) {
        log_error("%s", why);
        return 2;
    }

    if (keys.broker_count)
        options.curve = (struct ssecast_curve){.server_key = keys.brokers[0].text,
                                               .secret_key = keys.secret.text};
    int err = delivery_new(&f->delivery, &options, o->commands);
    curve_client_release(&keys);
    if (err)
        log_error("cannot use %s: %s", o->commands, strerror(-err));
    return err ? 1 : 0;
}

static int open_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGHUP);
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int frame_open(struct frame *f, const struct option_program *program, const struct frame_options *o)
{
    *f = (struct frame){.signals = -1,
                        .backoff = {.retry_ms = FIRST_WAIT_MS, .max_ms = LAST_WAIT_MS}};
    f->backoff.jitter_percent = 25;
    log_open(program->name, log_level_of(o->log_level));
    log_set_format(o->log_format);
    privilege_warn();
    variables_warn(program);
    f->signals = open_signals();
    if (f->signals < 0) {
        log_error("cannot take signals: %s", strerror(errno));
        return 1;
    }
    int status = open_delivery(f, o);
    if (status == 0)
        notify_send("READY=1");
    return status;
}

void frame_close(struct frame *f)
{
    if (f->delivery) {
        struct delivery_counts c = delivery_counts(f->delivery);
        notify_send("STOPPING=1");
        log_event(LOG_INFO, "stopped", log_count("published", c.published),
                  log_count("refused", c.refused + f->refused), log_count("dropped", f->dropped));
    }
    delivery_free(&f->delivery);
    if (f->signals >= 0)
        close(f->signals);
    log_close();
}

/* ---- waiting ---- */

static void take_signals(struct frame *f)
{
    struct signalfd_siginfo info;
    while (read(f->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGUSR1)
            log_toggle_debug();
        else if (info.ssi_signo != SIGHUP)
            f->stopping = true;
    }
}

static void show_status(struct frame *f, int64_t now)
{
    struct delivery_counts c = delivery_counts(f->delivery);
    log_tick(now);
    f->status_at = now + TICK_MS;
    if (c.published == f->shown.published && c.refused == f->shown.refused)
        return;
    f->shown = c;
    notify_send("STATUS=published %" PRIu64 ", refused %" PRIu64 ", dropped %" PRIu64, c.published,
                c.refused + f->refused, f->dropped);
}

static int least(int a, int b)
{
    if (a < 0 || b < 0)
        return a < 0 ? b : a;
    return a < b ? a : b;
}

/* One poll(). *seen: the events of fd. True when the wait is over. */
static bool wait_once(struct frame *f, int fd, short events, int timeout_ms, short *seen)
{
    struct pollfd fds[] = {
        {f->signals, POLLIN, 0}, {delivery_fd(f->delivery), POLLIN, 0}, {fd, events, 0}};
    int timeout = least(timeout_ms, least(delivery_timeout(f->delivery), TICK_MS));
    bool last = timeout == timeout_ms;
    int ready = poll(fds, fd < 0 ? 2 : 3, timeout);
    int64_t now = clock_ms();
    if (now >= f->status_at)
        show_status(f, now);
    take_signals(f);
    bool done = delivery_process(f->delivery);
    if (done) {
        f->delivered(f->context);
    }
    *seen = ready > 0 && fd >= 0 ? fds[2].revents : 0;
    return *seen || f->stopping || done || (ready == 0 && last);
}

short frame_wait(struct frame *f, int fd, short events, int timeout_ms)
{
    int64_t until = timeout_ms < 0 ? INT64_MAX : clock_ms() + timeout_ms;
    short seen = 0;
    int rest = timeout_ms;
    while (!f->stopping && !wait_once(f, fd, events, rest, &seen)) {
        int64_t left = until - clock_ms();
        if (left < 0)
            left = 0;
        rest = timeout_ms < 0 ? -1 : (int)left;
    }
    return seen;
}

void frame_back_off(struct frame *f, const char *what, const char *why)
{
    uint32_t random = 0;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        random = UINT32_MAX / 2;
    if (f->connected_at && clock_ms() - f->connected_at >= f->stable_ms)
        f->backoff.failures = 0;
    f->connected_at = 0;
    f->backoff.failures++;
    int64_t until = clock_ms() + (int64_t)backoff_wait(&f->backoff, random);
    log_event(LOG_WARN, "connection failed; retrying", log_name("to", what),
              log_name("reason", why));
    for (int64_t rest; !f->stopping && (rest = until - clock_ms()) > 0;)
        frame_wait(f, -1, 0, (int)rest);
}

void frame_connected(struct frame *f, const char *what)
{
    MUST(f->delivery);
    f->connected_at = clock_ms();
    log_each_event(LOG_INFO, "connected", log_name("to", what));
}

void frame_refused(struct frame *f, struct slice name, const char *why)
{
    f->refused++;
    log_event(LOG_WARN, "message refused", log_text("from", name), log_name("reason", why));
}
