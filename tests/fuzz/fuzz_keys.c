/* What the broker reads before it lets anybody in: the file of keys, a key's own file, and the
 * frames in which libzmq asks. A file is read as a whole or refused with the place; a grant says
 * what its line says, and no more.
 *
 * Input: a first byte `k`, then a file of keys; `f`, then the file of one key; else frames
 * separated by UNIT. */
#include <ctype.h>

#include "base/name.h"
#include "fuzz.h"
#include "net/keys.h"
#include "net/zap.h"

#define FRAMES_MAX 9

/* --- keys --- */

static void patterns_are_valid(const struct grant *grant, const struct names *patterns)
{
    must(grant->limited || !patterns->count);
    for (size_t i = 0; i < patterns->count; i++)
        must(pattern_valid(patterns->items[i]));
}

static void is_a_key(const struct keys *keys, const struct peer_key *key)
{
    struct slice text = slice_of(key->text.text);
    unsigned roles = key->grant.roles;
    must(curve_key_valid(text) && text.len == CURVE_KEY_LEN);
    must(keys_find(keys, text) == key);
    must(roles == ROLE_WORKER || roles == ROLE_PUBLISHER || roles == ROLE_OPERATOR);
    must(strcmp(keys_role_name(roles), "nobody") != 0);
    must(name_valid(key->name));
    patterns_are_valid(&key->grant, &key->grant.sessions);
    patterns_are_valid(&key->grant, &key->grant.channels);
}

static size_t count_lines(struct slice text)
{
    size_t count = 0;
    struct slice line;
    while (curve_key_next_line(&text, &line))
        count += line.len && line.data[0] != '#';
    return count;
}

static void read_keys(struct slice text)
{
    char why[KEYS_WHY_MAX] = "";
    struct keys *keys = keys_parse("keys", text, why);
    must(keys || (strncmp(why, "keys, line ", 11) == 0 && !strchr(why, '\n')));
    must(!keys || keys_count(keys) == count_lines(text));
    for (size_t i = 0; keys && i < keys_count(keys); i++)
        is_a_key(keys, keys_at(keys, i));
    keys_free(&keys);
}

static void read_one_key(struct slice text)
{
    struct curve_key key;
    for (int half = CURVE_PUBLIC; half <= CURVE_SECRET; half++)
        if (curve_key_find(text, (enum curve_key_half)half, &key) == 0)
            must(curve_key_valid(slice_of(key.text)) &&
                 memmem(text.data, text.len, key.text, CURVE_KEY_LEN));
    if (text.len >= CURVE_KEY_BYTES) {
        curve_key_encode((const unsigned char *)text.data, &key);
        must(curve_key_valid(slice_of(key.text)));
    }
}

/* --- frames --- */

static void read_question(struct slice rest)
{
    struct slice frames[FRAMES_MAX], answer[ZAP_REPLY_FRAMES];
    struct zap_request question;
    size_t count = 0;
    while (count < FRAMES_MAX && next_part(&rest, UNIT, &frames[count]))
        count++;
    if (!zap_read(frames, count, &question))
        return;
    must(question.key.len == 0 || question.key.len == CURVE_KEY_BYTES);
    zap_reply(&question, (struct slice){0}, answer);
    must(slice_equal(answer[2], slice_of("400")) && slice_equal(answer[1], question.id));
    zap_reply(&question, slice_of("shop"), answer);
    must(slice_equal(answer[2], slice_of("200")) && slice_equal(answer[4], slice_of("shop")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = {(const char *)data, size};
    uint8_t mode = next_byte(&rest);
    rest.data = exact_copy(rest);
    if (mode == 'k')
        read_keys(rest);
    else if (mode == 'f')
        read_one_key(rest);
    else
        read_question(rest);
    free((char *)rest.data);
    return 0;
}
