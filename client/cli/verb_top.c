/* top: the status page for a terminal. One request is pending at a time; keys and changes of the
 * terminal's size are handled meanwhile. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/top.h"
#include "cli/verb.h"
#include "ops/endpoint.h"

#define EACH_MS 1000
#define COLUMNS_USUAL 80
#define QUESTION "{\"op\":\"status\"}"

struct top_flags {
    bool once;
};

/* Set by signals. */
static volatile sig_atomic_t ended, resized;

struct session {
    const struct verb_call *call;
    struct ssecast_publisher *publisher;
    struct tree *status; /* NULL: none yet */
    char trouble[160];   /* empty: none */
    bool asking;
    bool changed; /* there is something new to show */
    int64_t ask_at;
    sigset_t waiting; /* the signal mask while it waits */
};

/* --- frames --- */

static struct top_size terminal_size(void)
{
    struct winsize size;
    const char *columns = getenv("COLUMNS");
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col)
        return (struct top_size){size.ws_col, size.ws_row};
    return (struct top_size){columns && atoi(columns) > 0 ? (size_t)atoi(columns) : COLUMNS_USUAL,
                             0};
}

static void draw(struct session *s, bool styled)
{
    struct top_frame frame = {.status = s->status,
                              .endpoint = s->call->settings->commands,
                              .trouble = *s->trouble ? s->trouble : NULL,
                              .size = terminal_size(),
                              .styled = styled};
    if (!styled)
        frame.size.lines = 0;
    else
        fputs("\x1b[H", stdout);
    top_write(&frame, stdout);
    if (styled)
        fputs("\x1b[H", stdout);
    fflush(stdout);
    s->changed = false;
}

/* --- questions --- */

/* Why the broker cannot be reached; "": not known. */
static const char *why_not(const struct session *s)
{
    if (endpoint_access(s->call->settings->commands) == -EACCES)
        return strerror(EACCES);
    return ssecast_publisher_problem(s->publisher);
}

static void set_no_answer(struct session *s)
{
    const char *why = why_not(s);
    snprintf(s->trouble, sizeof s->trouble, "no answer from the broker%s%.120s", *why ? ": " : "",
             why);
}

static void set_trouble(struct session *s, int err, const struct ssecast_reply *reply)
{
    if (err == 0)
        *s->trouble = '\0';
    else if (reply)
        snprintf(s->trouble, sizeof s->trouble, "refused: %.140s", ssecast_reply_message(reply));
    else if (err == -ETIMEDOUT || err == -EHOSTUNREACH)
        set_no_answer(s);
    else
        snprintf(s->trouble, sizeof s->trouble, "%.140s", strerror(-err));
}

static void answered(void *context, int err, struct ssecast_reply *reply)
{
    struct session *s = context;
    struct slice text = {0};
    s->asking = false;
    s->changed = true;
    set_trouble(s, err, reply);
    if (err == 0) {
        text.data = ssecast_reply_json(reply, &text.len);
        tree_free(&s->status);
        s->status = tree_parse(text);
    }
}

static void top_ask(struct session *s, int64_t now)
{
    int err = ssecast_query_async(s->publisher, QUESTION, answered, s);
    s->asking = err == 0;
    s->ask_at = now + EACH_MS;
    if (err)
        set_trouble(s, err, NULL);
}

/* --- the terminal --- */

static void on_signal(int number)
{
    if (number == SIGWINCH)
        resized = 1;
    else
        ended = 1;
}

/* Signals are blocked but for the wait: one that came just before it would be noticed only after
 * it. */
static void catch_signals(struct session *s)
{
    static const int numbers[] = {SIGWINCH, SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal};
    sigset_t caught;
    sigemptyset(&caught);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        sigaction(numbers[i], &action, NULL);
        sigaddset(&caught, numbers[i]);
    }
    sigprocmask(SIG_BLOCK, &caught, &s->waiting);
}

/* Unbuffered keys without echo; the alternate screen, without a cursor. */
static void begin_screen(struct termios *before)
{
    tcgetattr(STDIN_FILENO, before);
    struct termios raw = *before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VSUSP] = _POSIX_VDISABLE;
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    fputs("\x1b[?1049h\x1b[?25l\x1b[?7l", stdout);
}

static void end_screen(const struct termios *before)
{
    fputs("\x1b[?7h\x1b[?25h\x1b[?1049l", stdout);
    fflush(stdout);
    tcsetattr(STDIN_FILENO, TCSANOW, before);
}

/* False: it is to end. */
static bool take_keys(struct session *s)
{
    char keys[64];
    ssize_t n = read(STDIN_FILENO, keys, sizeof keys);
    for (ssize_t i = 0; i < n; i++)
        if (keys[i] == 'q' || keys[i] == 'Q')
            return false;
    s->changed = s->changed || n > 0; /* a key redraws the screen, which removes foreign output */
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static struct timespec time_to_wait(const struct session *s, int64_t now)
{
    int64_t left = s->ask_at > now ? s->ask_at - now : 0;
    int library = ssecast_publisher_next_timeout(s->publisher);
    if (s->asking)
        left = EACH_MS;
    if (library >= 0 && library < left)
        left = library;
    return (struct timespec){left / 1000, left % 1000 * 1000000};
}

static void watch(struct session *s)
{
    struct pollfd ready[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                             {.fd = ssecast_publisher_fd(s->publisher), .events = POLLIN}};
    while (!ended) {
        int64_t now = clock_ms();
        if (!s->asking && now >= s->ask_at)
            top_ask(s, now);
        if (s->changed || resized) {
            resized = 0;
            draw(s, true);
        }

        struct timespec left = time_to_wait(s, clock_ms());
        ppoll(ready, 2, &left, &s->waiting);
        if (ready[0].revents && !take_keys(s))
            return;
        ssecast_publisher_process(s->publisher);
    }
}

static int watch_screen(struct session *s)
{
    struct termios before;
    catch_signals(s);
    begin_screen(&before);
    s->changed = true;
    watch(s);
    end_screen(&before);
    sigprocmask(SIG_SETMASK, &s->waiting, NULL);
    return STATUS_OK;
}

/* --- the verb --- */

/* One request, one frame. */
static int show_once(struct session *s)
{
    struct ssecast_reply *reply = NULL;
    int err = ssecast_query(s->publisher, QUESTION, &reply);
    struct slice text = {0};
    if (err || s->call->settings->json)
        return close_publisher(s->call, &s->publisher, err, &reply);
    text.data = ssecast_reply_json(reply, &text.len);
    s->status = tree_parse(text);
    ssecast_reply_free(&reply);
    draw(s, false);
    return ferror(stdout)
               ? complain(s->call, STATUS_FAILED, "cannot write the output: %s", strerror(errno))
               : STATUS_OK;
}

/* Why a frame cannot replace the one before. NULL: it can. */
static const char *no_terminal(void)
{
    const char *term = getenv("TERM");
    if (!isatty(STDOUT_FILENO))
        return "the output is not a terminal";
    if (!isatty(STDIN_FILENO))
        return "the input is not a terminal";
    if (!term || !*term)
        return "TERM is not set";
    return strcmp(term, "dumb") == 0 ? "TERM is dumb, a terminal that cannot move the cursor"
                                     : NULL;
}

static int run_top(const struct verb_call *call)
{
    const struct top_flags *flags = call->flags;
    struct session s = {.call = call};
    bool once = flags->once || call->settings->json;
    const char *why = once ? NULL : no_terminal();
    if (why)
        return complain(call, STATUS_USAGE, "%s; --once prints one frame", why);
    int status = open_publisher(call, &s.publisher);
    if (status == STATUS_OK)
        status = once ? show_once(&s) : watch_screen(&s);
    ssecast_publisher_free(&s.publisher);
    tree_free(&s.status);
    return status;
}

static const struct option_row rows[] = {
    {.name = "once",
     .help = "print one frame and exit",
     .type = OPTION_FLAG,
     .offset = offsetof(struct top_flags, once)},
};

const struct verb verb_top = {
    .name = "top",
    .args = "",
    .summary = "show the status once a second",
    .more = "The keys q and Ctrl-C end it. "
            "Each column of a curve is a second, the newest at the right.\n",
    .flags = {.rows = rows, .count = sizeof rows / sizeof rows[0]},
    .flags_size = sizeof(struct top_flags),
    .run = run_top,
};
