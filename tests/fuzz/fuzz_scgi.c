/* An SCGI request, as it arrives on the socket of the hand-off: a judgement stands when more bytes
 * come, and a complete request has the very parameters that a second reader finds in its bytes.
 *
 * Input: the bytes of one connection, each NUL of the headers written as a unit separator. */
#include "fuzz.h"
#include "http/scgi.h"

#define HEAD_MAX 2000u

static enum scgi_progress scan_beginning(struct slice bytes, size_t len, struct scgi_head *head)
{
    struct slice beginning = {bytes.data, len};
    beginning.data = exact_copy(beginning);
    enum scgi_progress progress = scgi_scan(beginning, HEAD_MAX, head);
    free((char *)beginning.data);
    return progress;
}

static void scan_all_beginnings(struct slice bytes)
{
    enum scgi_progress before = SCGI_PARTIAL;
    for (size_t len = 0; len <= bytes.len; len++) {
        struct scgi_head head = {0};
        enum scgi_progress after = scan_beginning(bytes, len, &head);
        must(before == SCGI_PARTIAL || after == before);
        must(after != SCGI_COMPLETE || (head.len <= len && head.pairs.len <= HEAD_MAX));
        before = after;
    }
}

/* Each pair is the parameter at its place, and nothing follows the last one. */
static void compare(struct slice pairs, const char *text)
{
    const char *at = pairs.data, *end = at + pairs.len;
    while (at < end) {
        const char *value = at + strlen(at) + 1;
        size_t name_len = (size_t)(value - at) - 1;
        must(name_len && strncmp(text, at, name_len) == 0 && text[name_len] == '=');
        must(strcmp(text + name_len + 1, value) == 0);
        text += strlen(text) + 1;
        at = value + strlen(value) + 1;
    }
    must(!*text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = {(const char *)data, size};
    struct scgi_head head;
    struct params params = {0};
    char *copy = exact_copy(bytes);
    for (size_t i = 0; i < size; i++)
        copy[i] = (char)(copy[i] == UNIT ? '\0' : copy[i]);
    bytes.data = copy;

    scan_all_beginnings(bytes);
    if (scgi_scan(bytes, HEAD_MAX, &head) == SCGI_COMPLETE) {
        must(scgi_params(&head, &params) == 0);
        compare(head.pairs, params.text);
        must(params_content_length(&params) == head.body_len);
        params_release(&params);
    }
    free(copy);
    return 0;
}
