#include "ops/curve_key.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/folder.h"

#define FILE_MAX 4096u /* bytes of a file with one key */

static const char digits[] =
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

/* ---- Z85: five characters for four bytes, the most significant first ---- */

static bool valid_group(const char *group)
{
    uint64_t value = 0;
    for (int i = 0; i < 5; i++) {
        const char *at = group[i] ? strchr(digits, group[i]) : NULL;
        if (!at)
            return false;
        value = value * 85 + (uint64_t)(at - digits);
    }
    return value <= UINT32_MAX;
}

bool curve_key_valid(struct slice text)
{
    if (text.len != CURVE_KEY_LEN)
        return false;
    for (size_t i = 0; i < CURVE_KEY_LEN; i += 5)
        if (!valid_group(text.data + i))
            return false;
    return true;
}

void curve_key_encode(const unsigned char raw[CURVE_KEY_BYTES], struct curve_key *out)
{
    for (size_t group = 0; group < CURVE_KEY_BYTES / 4; group++) {
        const unsigned char *bytes = raw + 4 * group;
        uint32_t value = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 |
                         (uint32_t)bytes[2] << 8 | bytes[3];
        for (size_t i = 5; i-- > 0; value /= 85)
            out->text[5 * group + i] = digits[value % 85];
    }
    out->text[CURVE_KEY_LEN] = '\0';
}

void curve_key_wipe(struct curve_key *key)
{
    explicit_bzero(key, sizeof *key);
}

/* ---- files ---- */

static struct slice trim(struct slice text, const char *what)
{
    while (text.len && strchr(what, text.data[text.len - 1]))
        text.len--;
    while (text.len && strchr(what, *text.data)) {
        text.data++;
        text.len--;
    }
    return text;
}

bool curve_key_next_line(struct slice *rest, struct slice *line)
{
    if (!rest->len)
        return false;
    const char *end = memchr(rest->data, '\n', rest->len);
    size_t len = end ? (size_t)(end - rest->data) : rest->len;
    *line = trim((struct slice){rest->data, len}, " \t\r");
    len += end != NULL;
    *rest = (struct slice){rest->data + len, rest->len - len};
    return true;
}

/* The value of a line `name = "value"`, with or without the quotes. */
static bool value_of(struct slice line, const char *name, struct slice *value)
{
    size_t len = strlen(name);
    if (line.len < len || memcmp(line.data, name, len) != 0)
        return false;
    struct slice rest = trim((struct slice){line.data + len, line.len - len}, " \t");
    if (!rest.len || *rest.data != '=')
        return false;
    *value = trim((struct slice){rest.data + 1, rest.len - 1}, " \t\"'");
    return true;
}

int curve_key_find(struct slice text, enum curve_key_half half, struct curve_key *out)
{
    const char *name = half == CURVE_SECRET ? "secret-key" : "public-key";
    struct slice line, value;
    while (curve_key_next_line(&text, &line)) {
        bool named = value_of(line, name, &value);
        if (!named && !curve_key_valid(line))
            continue;
        if (!named)
            value = line;
        if (!curve_key_valid(value))
            return -EINVAL;
        memcpy(out->text, value.data, CURVE_KEY_LEN);
        out->text[CURVE_KEY_LEN] = '\0';
        return 0;
    }
    return -ENOENT;
}

int curve_key_load(const char *path, enum curve_key_half half, struct curve_key *out,
                   char why[CURVE_KEY_WHY])
{
    char *text = NULL;
    size_t len = 0;
    struct stat file = {0};
    int err = file_read(path, FILE_MAX, &text, &len, &file);
    if (err)
        snprintf(why, CURVE_KEY_WHY, "'%s': %s", path, read_problem(-err));
    else if (half == CURVE_SECRET && (err = file.st_mode & S_IRWXO ? -EPERM : 0) != 0)
        snprintf(
            why, CURVE_KEY_WHY,
            "'%s': everybody may use this file (mode %04o), which holds a secret key: chmod 600",
            path, (unsigned)file.st_mode & 07777);
    else if ((err = curve_key_find((struct slice){text, len}, half, out)) != 0)
        snprintf(why, CURVE_KEY_WHY,
                 "'%s': there is no %s key in it (" CURVE_KEY_RULE "; `ssecast keygen` makes one)",
                 path, half == CURVE_SECRET ? "secret" : "public");
    if (text)
        explicit_bzero(text, len);
    free(text);
    return err ? -EINVAL : 0;
}

int curve_key_public(const char *value, struct curve_key *out, char why[CURVE_KEY_WHY])
{
    if (!curve_key_valid(slice_of(value)) || access(value, F_OK) == 0)
        return curve_key_load(value, CURVE_PUBLIC, out, why);
    memcpy(out->text, value, sizeof out->text);
    return 0;
}

/* ---- a client's ---- */

static int load_brokers(struct curve_client *c, char *const *values, size_t count,
                        char why[CURVE_KEY_WHY])
{
    char detail[CURVE_KEY_WHY - 16];
    c->brokers = calloc(count, sizeof *c->brokers);
    for (size_t i = 0; i < count; i++)
        if (!c->brokers || curve_key_public(values[i], &c->brokers[i], why) != 0) {
            snprintf(detail, sizeof detail, "%s", c->brokers ? why : "out of memory");
            snprintf(why, CURVE_KEY_WHY, "--broker-key %s", detail);
            return -EINVAL;
        }
    c->broker_count = count;
    return 0;
}

int curve_client_load(struct curve_client *c, const char *key_file, char *const *broker_keys,
                      size_t key_count, size_t brokers, char why[CURVE_KEY_WHY])
{
    char detail[CURVE_KEY_WHY - 20];
    *c = (struct curve_client){0};
    if (!key_file && !key_count)
        return 0;
    if (!key_file || !key_count) {
        snprintf(why, CURVE_KEY_WHY,
                 "--curve-key-file and --broker-key need each other; --%s is missing",
                 key_file ? "broker-key" : "curve-key-file");
        return -EINVAL;
    }
    if (key_count != 1 && key_count != brokers) {
        snprintf(
            why, CURVE_KEY_WHY,
            "--broker-key has %zu keys for %zu brokers; accepted: one for all, or one for each",
            key_count, brokers);
        return -EINVAL;
    }
    if (curve_key_load(key_file, CURVE_SECRET, &c->secret, why) != 0) {
        snprintf(detail, sizeof detail, "%s", why);
        snprintf(why, CURVE_KEY_WHY, "--curve-key-file %s", detail);
        return -EINVAL;
    }
    int err = load_brokers(c, broker_keys, key_count, why);
    if (err)
        curve_client_release(c);
    return err;
}

void curve_client_release(struct curve_client *c)
{
    free(c->brokers);
    explicit_bzero(c, sizeof *c);
}
