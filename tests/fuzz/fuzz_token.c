/* JSON Web Tokens from anybody, and claims that were signed with the right key but hold anything:
 * only what our key signed is believed, and what is believed is valid.
 *
 * Input: a first byte `t`, then a token; or `c`, then claims, and behind UNIT a header (else that
 * of HS256), to be signed; or `r`, then the parameters of a request separated by PART, to be
 * searched for a token. */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/mman.h>
#include <unistd.h>

#include "auth/jws.h"
#include "auth/token.h"
#include "auth/token_refusal.h"
#include "auth/token_source.h"
#include "base/name.h"
#include "fuzz.h"
#include "ops/log.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define HEADER "{\"alg\":\"HS256\"}"
#define NOW INT64_C(1763710000000) /* unix time, ms */
#define LIST_MAX 50

static char *audience_items[] = {"us"};
static const struct option_list audience = {audience_items, 1};
static struct tokens *strict, *plain;

static struct tokens *tokens_with(const char *file, const char *issuer,
                                  const struct option_list *for_whom)
{
    struct tokens *t = tokens_new(&(struct token_rules){.secret_file = file,
                                                        .issuer = issuer,
                                                        .audience = for_whom,
                                                        .cookie = "ssecast_token",
                                                        .leeway_ms = 5000});
    must(t);
    return t;
}

int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static char file[40];
    int fd = memfd_create("secret", MFD_CLOEXEC);
    (void)argc;
    (void)argv;
    log_open("fuzz", LOG_ERROR);
    must(fd >= 0 && write(fd, SECRET, strlen(SECRET)) == (ssize_t)strlen(SECRET));
    snprintf(file, sizeof file, "/proc/self/fd/%d", fd);
    plain = tokens_with(file, NULL, NULL);
    strict = tokens_with(file, "them", &audience);
    return 0;
}

/* --- base64url --- */

static char *encode(struct slice bytes)
{
    char *out = malloc(bytes.len * 4 / 3 + 8);
    must(out);
    int len =
        EVP_EncodeBlock((unsigned char *)out, (const unsigned char *)bytes.data, (int)bytes.len);
    while (len && out[len - 1] == '=')
        out[--len] = '\0';
    for (char *c = out; *c; c++)
        *c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
    return out;
}

static int digit(char c)
{
    const char *digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : c == '-' || c == '+' ? 62 : c == '_' || c == '/' ? 63 : -1;
}

/* The first 32 bytes; false when there are others than so many. */
static bool decode_sum(const char *text, unsigned char out[32])
{
    uint32_t bits = 0;
    size_t count = 0, len = 0;
    for (; *text; text++) {
        if (digit(*text) < 0)
            continue;
        bits = bits << 6 | (uint32_t)digit(*text);
        count += 6;
        if (count < 8)
            continue;
        count -= 8;
        if (len < 32)
            out[len] = (unsigned char)(bits >> count);
        len++;
    }
    return len == 32;
}

static void sum(struct slice text, unsigned char out[32])
{
    unsigned len = 0;
    must(HMAC(EVP_sha256(), SECRET, (int)strlen(SECRET), (const unsigned char *)text.data, text.len,
              out, &len));
    must(len == 32);
}

static char *sign(struct slice header, struct slice claims)
{
    unsigned char mac[32];
    char *first = encode(header), *second = encode(claims), *signature, *out;
    must(asprintf(&out, "%s.%s", first, second) > 0);
    sum(slice_of(out), mac);
    signature = encode((struct slice){(char *)mac, sizeof mac});
    char *whole;
    must(asprintf(&whole, "%s.%s", out, signature) > 0);
    free(first);
    free(second);
    free(signature);
    free(out);
    return whole;
}

/* --- what must hold --- */

/* Its signature is that of our key. */
static void is_signed(const char *text)
{
    unsigned char should[32], is[32];
    const char *dot = strrchr(text, '.');
    must(dot && strlen(text) <= JWS_BYTES_MAX);
    sum((struct slice){text, (size_t)(dot - text)}, should);
    must(decode_sum(dot + 1, is) && memcmp(is, should, sizeof is) == 0);
}

static void patterns_are_valid(const struct names *patterns)
{
    must(patterns->count <= TOKEN_NAMES_MAX);
    for (size_t i = 0; i < patterns->count; i++)
        must(pattern_valid(patterns->items[i]));
}

static void is_valid(const struct token *token)
{
    must(token->claims && (!token->sub.len || name_valid(token->sub)));
    must(token->expires_ms == 0 || token->expires_ms > NOW);
    must(token->has_channels || !token->channels.count);
    must(token->may_publish ? token->publish.roles == ROLE_PUBLISHER : !token->publish.roles);
    must(token->publish.limited ||
         !(token->publish.sessions.count || token->publish.channels.count));
    patterns_are_valid(&token->channels);
    patterns_are_valid(&token->publish.sessions);
    patterns_are_valid(&token->publish.channels);
}

static enum token_verdict judge(struct tokens *tokens, const char *text)
{
    struct token token;
    enum token_verdict verdict = tokens_verify(tokens, text, NOW, &token);
    must(token.verdict == verdict);
    if (verdict == TOKEN_GOOD || verdict == TOKEN_EXPIRED)
        is_signed(text);
    if (verdict == TOKEN_GOOD)
        is_valid(&token);
    else
        must(!token.claims && !token.sub.len && !token.may_publish && !token.names);
    must(verdict == TOKEN_GOOD || token_refusal(verdict, READER_STREAMS)->error);
    must(verdict == TOKEN_GOOD || token_refusal(verdict, READER_HUB)->error);
    token_release(&token);
    return verdict;
}

static void judge_both(const char *text)
{
    enum token_verdict with_rules = judge(strict, text), without = judge(plain, text);
    must(with_rules == without || with_rules == TOKEN_INVALID);
}

static void search(struct slice rest)
{
    char *list[LIST_MAX + 1];
    size_t count = 0;
    struct slice part;
    struct params params = {0};
    while (count < LIST_MAX && next_part(&rest, PART, &part))
        list[count++] = string_copy(part);
    list[count] = NULL;
    must(params_copy(&params, list) == 0);
    char *text = token_source_stream(&params, "ssecast_token", 0);
    must(!text || *text);
    if (text)
        judge_both(text);
    free(text);
    params_release(&params);
    while (count)
        free(list[--count]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = {(const char *)data, size}, claims, header = slice_of(HEADER);
    uint8_t mode = next_byte(&rest);
    char *text = NULL;
    if (mode == 'r') {
        search(rest);
    } else if (mode == 'c' && next_part(&rest, UNIT, &claims)) {
        text = sign(rest.data ? rest : header, claims);
    } else {
        text = string_copy(rest);
    }
    if (text)
        judge_both(text);
    free(text);
    return 0;
}
