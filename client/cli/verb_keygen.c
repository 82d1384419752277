/* keygen: creates a key pair for CURVE, or a secret for tokens (--jwt). Secrets are written to
 * files only, never to the output. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/name.h"
#include "cli/jwt_secret.h"
#include "cli/verb.h"
#include "codec/grant.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct keygen_flags {
    const char *role, *name;
    struct flag_list sessions, channels;
    bool jwt;
};

static const struct option_row rows[] = {
    {.name = "role",
     .arg = "ROLE",
     .help = "publisher, operator, worker, or broker",
     .type = OPTION_TEXT,
     .offset = offsetof(struct keygen_flags, role)},
    {.name = "name",
     .arg = "NAME",
     .help = "name of the key's owner",
     .type = OPTION_TEXT,
     .offset = offsetof(struct keygen_flags, name)},
    {.name = "session",
     .arg = "PATTERN",
     .help = "limit the key to these sessions",
     .type = OPTION_LINES,
     .offset = offsetof(struct keygen_flags, sessions)},
    {.name = "channel",
     .arg = "PATTERN",
     .help = "limit the key to these channels",
     .type = OPTION_LINES,
     .offset = offsetof(struct keygen_flags, channels)},
    {.name = "jwt",
     .help = "add a secret for tokens to FILE",
     .type = OPTION_FLAG,
     .offset = offsetof(struct keygen_flags, jwt)},
};

/* --- what is asked for --- */

static bool is_role(const char *role)
{
    static const char *const roles[] = {"publisher", "operator", "worker", "broker"};
    for (size_t i = 0; role && i < COUNT(roles); i++)
        if (!strcmp(role, roles[i]))
            return true;
    return false;
}

/* A word in a line of the broker's file. */
static bool is_word(const char *text)
{
    return text && name_valid(slice_of(text)) && !strchr(text, ' ');
}

static int check_patterns(const struct verb_call *call, const char *flag,
                          const struct flag_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        if (!is_word(list->items[i]) || strchr(list->items[i], ','))
            return complain(call, STATUS_USAGE,
                            "--%s '%s': must be " PATTERN_RULE ", and have no spaces or commas",
                            flag, list->items[i]);
    return STATUS_OK;
}

static int check_keygen(const struct verb_call *call)
{
    const struct keygen_flags *f = call->flags;
    if (!is_role(f->role))
        return complain(call, STATUS_USAGE,
                        "--role must be publisher, operator, worker or broker%s%s%s",
                        f->role ? ", not '" : "", f->role ? f->role : "", f->role ? "'" : "");
    bool broker = !strcmp(f->role, "broker"), worker = !strcmp(f->role, "worker");
    if (!broker && !f->name)
        return complain(call, STATUS_USAGE, "--name must be given: " KEY_NAME_RULE);
    if (!broker && !key_name_valid(slice_of(f->name)))
        return complain(call, STATUS_USAGE, "--name '%s': must be " KEY_NAME_RULE, f->name);
    if ((broker || worker) && f->sessions.count + f->channels.count > 0)
        return complain(call, STATUS_USAGE, "a %s takes no limits (--session, --channel)", f->role);
    int status = check_patterns(call, "session", &f->sessions);
    return status == STATUS_OK ? check_patterns(call, "channel", &f->channels) : status;
}

/* --- what is written --- */

static void put_limit(FILE *out, const char *name, const struct flag_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        fprintf(out, "%s%s%s%s", i ? "" : " ", i ? "" : name, i ? "," : "=", list->items[i]);
}

/* The line for the broker's file of keys; of the broker itself its key, as clients need it. */
static void put_line(FILE *out, const struct keygen_flags *f, const char *public_key)
{
    if (!strcmp(f->role, "broker")) {
        fprintf(out, "%s\n", public_key);
        return;
    }
    fprintf(out, "%s %s %s", f->role, public_key, f->name);
    put_limit(out, "sessions", &f->sessions);
    put_limit(out, "channels", &f->channels);
    fputc('\n', out);
}

/* A certificate, as other ZeroMQ tools read it too. */
static void put_certificate(FILE *out, const struct keygen_flags *f, const char *public_key,
                            const char *secret_key)
{
    fprintf(out, "# A secret key of ssecast (%s%s%s): keep this file private.\n", f->role,
            f->name ? " " : "", f->name ? f->name : "");
    fprintf(out, "curve\n    public-key = \"%s\"\n    secret-key = \"%s\"\n", public_key,
            secret_key);
}

/* Both write to a file that was not there before. */
static FILE *create(const char *path, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    if (fd >= 0 && !file)
        close(fd);
    return file;
}

/* Close what was written. 0 or -errno. */
static int keygen_finish(FILE *file)
{
    bool bad = ferror(file) || fflush(file) != 0 || fsync(fileno(file)) != 0;
    int err = bad ? -errno : 0;
    if (fclose(file) != 0 && !err)
        err = -errno;
    return err;
}

static int write_secret(const struct verb_call *call, const char *public_key,
                        const char *secret_key)
{
    FILE *file = create(call->args[0], 0600);
    if (!file)
        return -errno;
    setvbuf(file, NULL, _IONBF, 0); /* no copy of the key stays in memory */
    put_certificate(file, call->flags, public_key, secret_key);
    int err = keygen_finish(file);
    if (err)
        unlink(call->args[0]);
    return err;
}

static int write_public(const struct verb_call *call, const char *path, const char *public_key)
{
    FILE *file = create(path, 0644);
    if (!file)
        return -errno;
    put_line(file, call->flags, public_key);
    return keygen_finish(file);
}

static int write_both(const struct verb_call *call, const char *public_path, const char *public_key,
                      const char *secret_key)
{
    int err = write_secret(call, public_key, secret_key);
    if (err)
        return complain(call, STATUS_FAILED, "cannot write '%s': %s", call->args[0],
                        err == -EEXIST ? "the file exists, and keys are not overwritten"
                                       : strerror(-err));
    err = write_public(call, public_path, public_key);
    if (!err)
        return STATUS_OK;
    unlink(call->args[0]);
    return complain(call, STATUS_FAILED, "cannot write '%s': %s", public_path,
                    err == -EEXIST ? "the file exists, and keys are not overwritten"
                                   : strerror(-err));
}

/* --- what is shown --- */

static void show_json(const struct verb_call *call, const char *public_path, const char *public_key)
{
    const struct keygen_flags *f = call->flags;
    struct buf out = {0};
    json_begin_object(&out, NULL);
    json_put_flag(&out, "ok", true);
    json_put_text(&out, "role", slice_of(f->role));
    json_put_text(&out, "public_key", slice_of(public_key));
    json_put_text(&out, "secret_file", slice_of(call->args[0]));
    json_put_text(&out, "public_file", slice_of(public_path));
    json_end_object(&out);
    printf("%.*s\n", (int)out.len, out.data);
    buf_release(&out);
}

static void keygen_show(const struct verb_call *call, const char *public_path,
                        const char *public_key)
{
    const struct keygen_flags *f = call->flags;
    if (call->settings->json) {
        show_json(call, public_path, public_key);
        return;
    }
    put_line(stdout, f, public_key);
    fprintf(stderr, "(the secret key is in %s; %s is what %s)\n", call->args[0], public_path,
            !strcmp(f->role, "broker") ? "clients use as --broker-key"
                                       : "goes into the broker's --keys file");
}

static int keygen_make(const struct verb_call *call, const char *public_path)
{
    char public_key[41], secret_key[41];
    int err = ssecast_curve_keypair(public_key, secret_key);
    if (err)
        return complain(call, STATUS_FAILED, "cannot create keys: %s", strerror(-err));
    int status = write_both(call, public_path, public_key, secret_key);
    explicit_bzero(secret_key, sizeof secret_key);
    if (status == STATUS_OK)
        keygen_show(call, public_path, public_key);
    return status;
}

/* --- a secret for tokens --- */

static void show_secret(const struct verb_call *call, const struct jwt_secret_made *made)
{
    struct buf out = {0};
    if (!call->settings->json) {
        printf("%s\n", made->kid);
        fprintf(stderr,
                "(the kid of the new secret; "
                "%s holds %zu, and is what a worker takes as --jwt-secret-file)\n",
                call->args[0], made->count);
        return;
    }
    json_begin_object(&out, NULL);
    json_put_flag(&out, "ok", true);
    json_put_text(&out, "kid", slice_of(made->kid));
    json_put_text(&out, "secret_file", slice_of(call->args[0]));
    json_put_count(&out, "secrets", made->count);
    json_end_object(&out);
    printf("%.*s\n", (int)out.len, out.data);
    buf_release(&out);
}

static int run_jwt(const struct verb_call *call)
{
    const struct keygen_flags *f = call->flags;
    struct jwt_secret_made made;
    char why[200];
    if (f->role || f->name || f->sessions.count + f->channels.count > 0)
        return complain(call, STATUS_USAGE, "--jwt takes no other flag");
    if (jwt_secret_add(call->args[0], &made, why, sizeof why) != 0)
        return complain(call, STATUS_FAILED, "cannot add a secret to '%s': %s", call->args[0], why);
    show_secret(call, &made);
    return STATUS_OK;
}

static int run_keygen(const struct verb_call *call)
{
    char *public_path;
    const struct keygen_flags *f = call->flags;
    if (f->jwt)
        return run_jwt(call);
    int status = check_keygen(call);
    if (status != STATUS_OK)
        return status;
    if (asprintf(&public_path, "%s.pub", call->args[0]) < 0)
        return complain(call, STATUS_FAILED, "out of memory");
    status = keygen_make(call, public_path);
    free(public_path);
    return status;
}

const struct verb verb_keygen = {
    .name = "keygen",
    .args = "FILE",
    .summary = "create a CURVE key pair or a token secret",
    .more = "The pair goes into FILE (mode 0600), which is what --curve-key-file names. "
            "FILE.pub and the output get the public half: the line for the broker's --keys file, "
            "or, with --role broker, the key that everybody else takes as --broker-key. "
            "Files that exist are not overwritten. The broker is not asked.\n"
            "\n"
            "With --jwt, FILE gets a secret that tokens are signed with (HS256), as a JWKS: "
            "what a worker takes as --jwt-secret-file. A file with secrets keeps them, "
            "and gets the new one as its last. The output is its kid.\n",
    .flags = {.rows = rows, .count = COUNT(rows)},
    .flags_size = sizeof(struct keygen_flags),
    .min_args = 1,
    .max_args = 1,
    .run = run_keygen,
};
