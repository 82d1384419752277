/* load - thousands of event-stream readers in one process, told what to do by lines on standard
 * input.
 *
 *     load PORT PROGRESS-FILE [tls]
 *
 * With `tls` it speaks TLS 1.3, and accepts any certificate: HTTP/1.1 in both cases.
 *
 *     pids PID...            whose CPU time to report
 *     open COUNT PATH [ID]   open streams; %n in PATH is the stream's number, %k that
 *                            number modulo KINDS; ID is the Last-Event-ID
 *     kinds COUNT            how many different %k there are (1000)
 *     burst COUNT            how many are being opened at a time (1000)
 *     wait EVENTS MS         until every stream is open and has received EVENTS since `begin`
 *     keys COUNT             before `open`: an event has the key of its number modulo COUNT
 *     slow COUNT             before `open`: the first COUNT streams are slow: small buffers, and
 *                            not in the latencies
 *     pace BYTES             what each slow stream reads in a second; 0: as the others
 *     newest N MS            until every stream has the event with the number N, published last;
 *                            also answers in how many cases (`stale`) a stream has not the newest
 *                            event of a key
 *     begin                  from now on count
 *     end                    stop counting; answers what was counted
 *     close                  close all streams
 *
 * wait, newest and end answer one line of JSON. Each `open` uses a local address of its own
 * (127.1.x.y), so that ports in TIME_WAIT never run out. The parser reads HTTP/1.1 with and without
 * chunks, and of an event only its data line (stamp.h).
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "histogram.h"
#include "progress.h"
#include "stamp.h"

#define READ_MAX 65536u
#define NAP_NS 500000 /* what latencies are too long by, at most */
#define CARRY_MAX 8192u
#define PIDS_MAX 256
#define SLOW_READ 2048     /* bytes that a slow stream reads at a time */
#define SLOW_RECEIVES 4096 /* bytes of its socket's buffer: half of what the kernel makes of it */
#define SLOW_SEGMENT 1448  /* as on Ethernet: loopback's segments make the sender's buffers huge */

enum client_state { CLOSED, CONNECTING, HANDSHAKE, HEAD, BODY };
enum chunk_state { CHUNK_SIZE, CHUNK_SIZE_REST, CHUNK_DATA, CHUNK_END };

struct client {
    int fd;
    SSL *tls; /* NULL: plain */
    uint8_t state, chunk;
    bool chunked;
    uint32_t chunk_left;
    uint32_t events; /* since begin */
    uint32_t carry_len;
    char *carry; /* the beginning of a line, or of the response's head */
    uint64_t last_n;
    uint64_t *newest;  /* of each key, the number of the last event */
    uint64_t may_read; /* a slow one: ns */
    bool parked;       /* until then */
};

struct counts {
    uint64_t events, bytes, reads, lost, skipped, disordered, gaps, ended, refused;
    uint64_t began, first, last; /* ns */
    struct histogram latency;
};

static struct {
    int epoll, port;
    SSL_CTX *tls; /* NULL: plain */
    struct progress *progress;
    struct client *clients;
    size_t count, cap; /* clients there are */
    size_t started;    /* of them, those whose connect was begun */
    size_t pending, opened, burst, kinds;
    uint32_t address; /* of this open, host order */
    char path[1024], id[256];
    struct counts counts;
    size_t reached; /* clients that have received `target` events */
    uint32_t target;
    size_t keys, slow, pace;
    uint64_t newest; /* the event that `newest` waits for */
    bool waiting, busy;
    uint64_t deadline, waited_from;
    int pids[PIDS_MAX];
    uint64_t cpu_before[PIDS_MAX];
    int pid_count;
    uint64_t own_before;
    uint64_t received; /* events, ever */
    char line[4096];
    size_t line_len;
} load;

static char raw[READ_MAX], text[READ_MAX + CARRY_MAX];

/* --- CPU --- */

static uint64_t schedstat(const char *path)
{
    unsigned long long ns = 0;
    FILE *f = fopen(path, "re");
    if (!f)
        return 0;
    if (fscanf(f, "%llu", &ns) != 1)
        ns = 0;
    fclose(f);
    return ns;
}

/* Of all the process's threads, ns. */
static uint64_t cpu_of(int pid)
{
    char path[64], file[400];
    uint64_t sum = 0;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        snprintf(file, sizeof file, "%s/%s/schedstat", path, e->d_name);
        if (e->d_name[0] != '.')
            sum += schedstat(file);
    }
    if (dir)
        closedir(dir);
    return sum;
}

/* Of this process, ns. */
static uint64_t own_cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* --- events --- */

static bool is_slow(const struct client *c)
{
    return (size_t)(c - load.clients) < load.slow;
}

/* Numbers were left out. A slow reader may be spared superseded events. */
static void count_missing(const struct client *c, uint64_t count)
{
    if (is_slow(c))
        load.counts.skipped += count;
    else
        load.counts.lost += count;
}

static void count_event(struct client *c, const char *data, size_t len, uint64_t now)
{
    uint64_t n, t;
    if (!stamp_read(data, len, &n, &t))
        return;
    if (n == 1)
        c->last_n = 0; /* another publisher begins */
    if (c->last_n && n <= c->last_n)
        load.counts.disordered++;
    else if (c->last_n)
        count_missing(c, n - c->last_n - 1);
    c->last_n = n;
    load.counts.events++;
    load.received++;
    if (c->newest)
        c->newest[n % load.keys] = n;
    if (!is_slow(c))
        histogram_add(&load.counts.latency, now > t ? now - t : 0);
    if (++c->events == load.target)
        load.reached++;
    load.counts.last = now;
    if (!load.counts.first)
        load.counts.first = now;
}

static void line_read(struct client *c, const char *line, size_t len, uint64_t now)
{
    if (len > 5 && memcmp(line, "data:", 5) == 0) {
        size_t skip = line[5] == ' ' ? 6 : 5;
        count_event(c, line + skip, len - skip, now);
    } else if (len >= 18 && memcmp(line, "event: ssecast.gap", 18) == 0) {
        load.counts.gaps++;
    }
}

static bool keep(struct client *c, const char *bytes, size_t len)
{
    if (len > CARRY_MAX)
        return false;
    if (!len) {
        c->carry_len = 0;
        return true;
    }
    if (!c->carry && !(c->carry = malloc(CARRY_MAX)))
        return false;
    memmove(c->carry, bytes, len);
    c->carry_len = (uint32_t)len;
    return true;
}

/* All whole lines of the text, which begins with what was kept. */
static bool lines_read(struct client *c, const char *at, size_t len, uint64_t now)
{
    const char *end = at + len, *newline;
    while (at < end && (newline = memchr(at, '\n', (size_t)(end - at)))) {
        line_read(c, at, (size_t)(newline - at), now);
        at = newline + 1;
    }
    return keep(c, at, (size_t)(end - at));
}

/* --- HTTP --- */

static int hex(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    digit |= 0x20;
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* One byte of a chunk's frame. False at the end of the response. */
static bool frame_byte(struct client *c, char byte)
{
    int digit = hex(byte);
    if (c->chunk == CHUNK_SIZE && digit >= 0) {
        c->chunk_left = c->chunk_left * 16 + (uint32_t)digit;
    } else if (byte != '\n') {
        if (c->chunk == CHUNK_SIZE)
            c->chunk = CHUNK_SIZE_REST;
    } else if (c->chunk == CHUNK_END) {
        c->chunk = CHUNK_SIZE;
    } else {
        c->chunk = CHUNK_DATA;
        return c->chunk_left > 0;
    }
    return true;
}

/* The content of chunks, to `to`. Its length, or -1 at the end of the response. */
static ssize_t dechunk(struct client *c, const char *from, size_t len, char *to)
{
    char *out = to;
    for (size_t i = 0; i < len;) {
        if (c->chunk != CHUNK_DATA) {
            if (!frame_byte(c, from[i++]))
                return -1;
            continue;
        }
        size_t take = c->chunk_left < len - i ? c->chunk_left : len - i;
        memcpy(out, from + i, take);
        out += take;
        i += take;
        c->chunk_left -= (uint32_t)take;
        if (!c->chunk_left)
            c->chunk = CHUNK_END;
    }
    return out - to;
}

static bool body_read(struct client *c, const char *bytes, size_t len, uint64_t now)
{
    ssize_t got = (ssize_t)len;
    memcpy(text, c->carry ? c->carry : "", c->carry_len);
    if (c->chunked)
        got = dechunk(c, bytes, len, text + c->carry_len);
    else
        memcpy(text + c->carry_len, bytes, len);
    return got >= 0 && lines_read(c, text, c->carry_len + (size_t)got, now);
}

static bool head_read(struct client *c, const char *bytes, size_t len, uint64_t now)
{
    if (c->carry_len + len > sizeof text)
        return false;
    memcpy(text, c->carry ? c->carry : "", c->carry_len);
    memcpy(text + c->carry_len, bytes, len);
    len += c->carry_len;
    char *end = memmem(text, len, "\r\n\r\n", 4);
    if (!end)
        return keep(c, text, len);
    *end = '\0';
    if (len < 12 || memcmp(text + 9, "200", 3) != 0)
        return false;
    c->chunked = strcasestr(text, "chunked") != NULL;
    c->state = BODY;
    c->carry_len = 0;
    load.pending--;
    load.opened++;
    atomic_fetch_add(&load.progress->readers, 1);
    size_t rest = len - (size_t)(end + 4 - text);
    memcpy(raw, end + 4, rest);
    return body_read(c, raw, rest, now);
}

/* --- connections --- */

static void client_close(struct client *c)
{
    if (c->state == CONNECTING || c->state == HANDSHAKE || c->state == HEAD)
        load.pending--;
    if (c->state == BODY) {
        load.opened--;
        atomic_fetch_sub(&load.progress->readers, 1);
    }
    SSL_free(c->tls);
    if (c->fd >= 0)
        close(c->fd);
    free(c->carry);
    free(c->newest);
    *c = (struct client){.fd = -1};
}

static void client_fails(struct client *c)
{
    if (c->state == BODY)
        load.counts.ended++;
    else
        load.counts.refused++;
    client_close(c);
}

static void expand_path(char *to, size_t size, size_t number)
{
    size_t len = 0;
    for (const char *p = load.path; *p && len + 24 < size; p++) {
        if (*p == '%' && (p[1] == 'n' || p[1] == 'k'))
            len += (size_t)snprintf(to + len, size - len, "%zu",
                                    *++p == 'n' ? number : number % load.kinds);
        else
            to[len++] = *p;
    }
    to[len] = '\0';
}

static void watch(const struct client *c, uint32_t what)
{
    struct epoll_event event = {.events = what, .data.ptr = (void *)c};
    epoll_ctl(load.epoll, EPOLL_CTL_MOD, c->fd, &event);
}

static bool send_request(struct client *c)
{
    char path[1200], request[2048], cursor[300] = "";
    expand_path(path, sizeof path, (size_t)(c - load.clients));
    if (load.id[0])
        snprintf(cursor, sizeof cursor, "Last-Event-ID: %s\r\n", load.id);
    int len = snprintf(request, sizeof request,
                       "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n%s\r\n",
                       path, cursor);
    c->state = HEAD;
    watch(c, EPOLLIN);
    if (c->tls)
        return SSL_write(c->tls, request, len) == len;
    return send(c->fd, request, (size_t)len, MSG_NOSIGNAL) == len;
}

static bool shake_hands(struct client *c)
{
    ERR_clear_error();
    int done = SSL_connect(c->tls);
    if (done == 1)
        return send_request(c);
    int why = SSL_get_error(c->tls, done);
    watch(c, why == SSL_ERROR_WANT_WRITE ? EPOLLOUT : EPOLLIN);
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE;
}

/* The connection is there. */
static bool connected(struct client *c)
{
    if (!load.tls)
        return send_request(c);
    c->state = HANDSHAKE;
    c->tls = SSL_new(load.tls);
    return c->tls && SSL_set_fd(c->tls, c->fd) == 1 && shake_hands(c);
}

static void start_client(struct client *c)
{
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(load.address)};
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)load.port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = c};
    *c = (struct client){.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
                         .state = CONNECTING};
    load.pending++;
    if (load.keys && !(c->newest = calloc(load.keys, sizeof *c->newest)))
        exit(1);
    if (is_slow(c)) {
        int receives = SLOW_RECEIVES, segment = SLOW_SEGMENT;
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &receives, sizeof receives);
        setsockopt(c->fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
    }
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (c->fd < 0 || bind(c->fd, (struct sockaddr *)&from, sizeof from) != 0 ||
        (connect(c->fd, (struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS) ||
        epoll_ctl(load.epoll, EPOLL_CTL_ADD, c->fd, &event) != 0)
        client_fails(c);
}

static void start_some(void)
{
    while (load.started < load.count && load.pending < load.burst)
        start_client(&load.clients[load.started++]);
}

static void park(struct client *c, bool parked)
{
    c->parked = parked;
    watch(c, parked ? 0 : EPOLLIN);
}

/* A slow stream has read so much: it rests for as long as that takes at its pace. */
static void rest(struct client *c, size_t len, uint64_t now)
{
    c->may_read = now + (uint64_t)((double)len / (double)load.pace * 1e9);
    park(c, true);
}

static void wake_slow(void)
{
    uint64_t now = load.slow ? stamp_now() : 0;
    for (size_t i = 0; i < load.slow && i < load.started; i++) {
        struct client *c = &load.clients[i];
        if (c->parked && (!load.pace || now >= c->may_read))
            park(c, false);
    }
}

/* As recv(): -1 and EAGAIN when there is nothing now, 0 at the end. */
static ssize_t receive(struct client *c, size_t size)
{
    if (!c->tls)
        return recv(c->fd, raw, size, 0);
    ERR_clear_error(); /* SSL_get_error() looks at what is left there */
    int len = SSL_read(c->tls, raw, (int)size);
    if (len > 0)
        return len;
    errno = SSL_get_error(c->tls, len) == SSL_ERROR_WANT_READ ? EAGAIN : EIO;
    return -1;
}

/* Read once. True: there may be more that epoll does not tell of. */
static bool client_read(struct client *c)
{
    bool paced = load.pace && c->state == BODY && is_slow(c);
    ssize_t len = receive(c, paced ? SLOW_READ : sizeof raw);
    if (len < 0 && errno == EAGAIN)
        return false;
    uint64_t now = stamp_now();
    load.counts.reads++;
    load.counts.bytes += len > 0 ? (uint64_t)len : 0;
    if (len <= 0 || !(c->state == HEAD ? head_read(c, raw, (size_t)len, now)
                                       : body_read(c, raw, (size_t)len, now))) {
        client_fails(c);
        return false;
    }
    if (paced)
        rest(c, (size_t)len, now);
    return c->tls && SSL_has_pending(c->tls);
}

static void client_ready(struct client *c, uint32_t events)
{
    bool fine = true;
    if (c->state == CLOSED)
        return;
    if (c->state == CONNECTING)
        fine = !(events & EPOLLERR) && connected(c);
    else if (c->state == HANDSHAKE)
        fine = shake_hands(c);
    else
        while (client_read(c)) {
        }
    if (!fine)
        client_fails(c);
}

/* --- commands --- */

static void do_pids(char *words)
{
    load.pid_count = 0;
    for (char *word = strtok(words, " "); word && load.pid_count < PIDS_MAX;
         word = strtok(NULL, " "))
        load.pids[load.pid_count++] = atoi(word);
}

static void do_open(char *words)
{
    static uint32_t opens;
    size_t count = 0;
    load.id[0] = '\0';
    sscanf(words, "%zu %1023s %255s", &count, load.path, load.id);
    load.address = 0x7f010000u + opens++ % 60000u + 1;
    if (load.count + count > load.cap) { /* clients must not move once they are watched */
        fprintf(stderr, "load: too many streams\n");
        exit(1);
    }
    load.count += count;
    start_some();
}

static void do_close(void)
{
    for (size_t i = 0; i < load.count; i++)
        client_close(&load.clients[i]);
    load.count = load.started = 0;
}

static void retarget(uint32_t target)
{
    load.target = target;
    load.reached = 0;
    for (size_t i = 0; i < load.count; i++)
        load.reached += load.clients[i].events >= target;
}

static void do_begin(void)
{
    memset(&load.counts, 0, sizeof load.counts);
    for (size_t i = 0; i < load.count; i++)
        load.clients[i].events = 0;
    for (int i = 0; i < load.pid_count; i++)
        load.cpu_before[i] = cpu_of(load.pids[i]);
    load.own_before = own_cpu();
    load.counts.began = stamp_now();
}

static double seconds_between(uint64_t from, uint64_t to)
{
    return to > from ? (double)(to - from) / 1e9 : 0;
}

static void do_end(void)
{
    const struct counts *n = &load.counts;
    uint64_t now = stamp_now();
    printf("{\"seconds\":%.6f,\"events\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"reads\":%" PRIu64
           ",\"lost\":%" PRIu64 ",\"skipped\":%" PRIu64 ",\"disordered\":%" PRIu64
           ",\"gaps\":%" PRIu64 ",\"ended\":%" PRIu64 ",\"refused\":%" PRIu64
           ",\"open\":%zu,\"last_at\":%.6f,"
           "\"p50_ms\":%.4f,\"p99_ms\":%.4f,\"max_ms\":%.4f,\"load_cpu\":%.4f,\"cpu\":{",
           seconds_between(n->began, now), n->events, n->bytes, n->reads, n->lost, n->skipped,
           n->disordered, n->gaps, n->ended, n->refused, load.opened,
           seconds_between(n->began, n->last), (double)histogram_at(&n->latency, 0.5) / 1e6,
           (double)histogram_at(&n->latency, 0.99) / 1e6, (double)n->latency.max / 1e6,
           seconds_between(load.own_before, own_cpu()));
    for (int i = 0; i < load.pid_count; i++)
        printf("%s\"%d\":%.6f", i ? "," : "", load.pids[i],
               seconds_between(load.cpu_before[i], cpu_of(load.pids[i])));
    printf("}}\n");
}

static void wait_for(unsigned ms)
{
    load.waiting = true;
    load.waited_from = stamp_now();
    load.deadline = load.waited_from + ms * 1000000ull;
}

static void do_wait(const char *words)
{
    unsigned target = 0, ms = 0;
    sscanf(words, "%u %u", &target, &ms);
    retarget(target);
    load.newest = 0;
    wait_for(ms);
}

static void do_newest(const char *words)
{
    unsigned ms = 0;
    sscanf(words, "%" SCNu64 " %u", &load.newest, &ms);
    wait_for(ms);
}

/* Have all what is waited for? */
static bool all_have(void)
{
    bool all = load.opened == load.count;
    if (!load.newest)
        return all && load.reached == load.count;
    for (size_t i = 0; all && i < load.count; i++)
        all = load.clients[i].last_n >= load.newest;
    return all;
}

/* How often a stream has not the newest event of a key, of load.newest events. */
static size_t count_stale(void)
{
    size_t stale = 0;
    for (size_t i = 0; load.newest && i < load.count; i++)
        for (size_t back = 0; back < load.keys && back < load.newest; back++) {
            const struct client *c = &load.clients[i];
            uint64_t n = load.newest - back;
            stale += !c->newest || c->newest[n % load.keys] != n;
        }
    return stale;
}

static void check_wait(void)
{
    uint64_t now = stamp_now();
    bool all = load.waiting && all_have();
    if (!load.waiting || (!all && now < load.deadline))
        return;
    load.waiting = false;
    printf("{\"ok\":%s,\"seconds\":%.6f,"
           "\"since_begin\":%.6f,\"open\":%zu,\"reached\":%zu,\"stale\":%zu}\n",
           all ? "true" : "false", seconds_between(load.waited_from, now),
           seconds_between(load.counts.began, now), load.opened, load.reached, count_stale());
}

static void command(char *line)
{
    char *words = strchr(line, ' ');
    if (words)
        *words++ = '\0';
    else
        words = line + strlen(line);
    if (strcmp(line, "pids") == 0)
        do_pids(words);
    else if (strcmp(line, "burst") == 0)
        load.burst = strtoul(words, NULL, 10);
    else if (strcmp(line, "kinds") == 0)
        load.kinds = strtoul(words, NULL, 10);
    else if (strcmp(line, "keys") == 0)
        load.keys = strtoul(words, NULL, 10);
    else if (strcmp(line, "slow") == 0)
        load.slow = strtoul(words, NULL, 10);
    else if (strcmp(line, "pace") == 0)
        load.pace = strtoul(words, NULL, 10);
    else if (strcmp(line, "newest") == 0)
        do_newest(words);
    else if (strcmp(line, "open") == 0)
        do_open(words);
    else if (strcmp(line, "close") == 0)
        do_close();
    else if (strcmp(line, "begin") == 0)
        do_begin();
    else if (strcmp(line, "end") == 0)
        do_end();
    else if (strcmp(line, "wait") == 0)
        do_wait(words);
}

/* Commands that have arrived. False at the end of input. A `wait` holds back those behind it. */
static bool commands_read(void)
{
    const size_t max = sizeof load.line - 1;
    size_t room = load.line_len < max ? max - load.line_len : 0;
    ssize_t n = read(0, load.line + load.line_len, room);
    if (n <= 0)
        return false;
    load.line_len += (size_t)n;
    return true;
}

static void run_commands(void)
{
    char *newline;
    while (!load.waiting && (newline = memchr(load.line, '\n', load.line_len))) {
        *newline = '\0';
        command(load.line);
        size_t used = (size_t)(newline + 1 - load.line);
        memmove(load.line, load.line + used, load.line_len -= used);
    }
    fflush(stdout);
}

/* Readers on other machines do not wake up on the server's core, in the middle of what it writes.
 * So what arrives is looked at after a short sleep that it does not end. */
static void nap(void)
{
    static const struct timespec t = {.tv_nsec = NAP_NS};
    nanosleep(&t, NULL);
}

static bool turn(void)
{
    struct epoll_event events[512];
    if (!load.busy)
        nap();
    int count = epoll_wait(load.epoll, events, 512, load.waiting || load.pace ? 20 : 1000);
    bool more = true;
    load.busy = count == 512;
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr)
            client_ready(events[i].data.ptr, events[i].events);
        else
            more = commands_read();
    }
    wake_slow();
    start_some();
    atomic_store(&load.progress->received, load.received);
    check_wait();
    run_commands();
    return more;
}

static bool use_tls(void)
{
    load.tls = SSL_CTX_new(TLS_client_method());
    if (!load.tls)
        return false;
    SSL_CTX_set_mode(load.tls, SSL_MODE_RELEASE_BUFFERS);
    return SSL_CTX_set_min_proto_version(load.tls, TLS1_3_VERSION) == 1;
}

int main(int argc, char **argv)
{
    struct rlimit files;
    bool tls = argc == 4 && strcmp(argv[3], "tls") == 0;
    if ((argc != 3 && !tls) || (tls && !use_tls()) || !(load.progress = progress_open(argv[2]))) {
        fprintf(stderr, "usage: load PORT PROGRESS-FILE [tls] < commands\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    load.port = atoi(argv[1]);
    load.burst = load.kinds = 1000;
    load.cap = 65536;
    load.clients = calloc(load.cap, sizeof *load.clients);
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (!load.clients || epoll_ctl(load.epoll, EPOLL_CTL_ADD, 0, &event) != 0)
        return 1;
    while (turn()) {
    }
    return 0;
}
