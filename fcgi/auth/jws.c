#include "auth/jws.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/base64.h"
#include "codec/json_in.h"

static const char no_token[] = "it is not a JWT of three parts and at most 8192 bytes";
_Static_assert(JWS_BYTES_MAX == 8192u, "no_token names the limit");

/* An object that is written in base64url; NULL: the part holds none. */
static struct json_in *part_object(struct slice part)
{
    unsigned char *bytes = malloc(part.len + 1);
    size_t len = bytes ? base64_decode(BASE64_URL, part, bytes, part.len) : 0;
    struct json_in *json = len ? json_in_parse((struct slice){(const char *)bytes, len}) : NULL;

    free(bytes);
    if (!json_in_is_object(json))
        json_in_free(&json);
    return json;
}

/* Copy a text of the header, as a C string. False: it is there, and no text of 1 to JWS_NAME_MAX -
 * 1 bytes without a NUL. out stays empty without it. */
static bool copy_name(const struct json_in *header, const char *name, char out[JWS_NAME_MAX])
{
    const struct json_in *value = json_in_member(header, name);
    struct slice text = json_in_text(value);
    if (!value)
        return true;
    if (!text.len || text.len >= JWS_NAME_MAX || memchr(text.data, 0, text.len))
        return false;

    memcpy(out, text.data, text.len);
    out[text.len] = '\0';
    return true;
}

/* The type decides what a token is for. A token without one is a JWT. */
static bool read_type(const struct json_in *header, bool *access)
{
    char type[JWS_NAME_MAX] = "JWT";
    if (!copy_name(header, "typ", type))
        return false;

    *access = strcasecmp(type, "at+jwt") == 0 || strcasecmp(type, "application/at+jwt") == 0;
    return *access || strcasecmp(type, "JWT") == 0;
}

static const char *read_header(const struct json_in *header, struct jws *out)
{
    if (!header)
        return "its header is not a JSON object in base64url";
    if (json_in_member(header, "crit"))
        return "its header demands an extension (crit)";
    if (!copy_name(header, "alg", out->algorithm))
        return "its alg is not a text of at most 255 bytes";
    if (!copy_name(header, "kid", out->kid))
        return "its kid is not a text of at most 255 bytes";
    if (!read_type(header, &out->access))
        return "its typ is neither JWT nor at+jwt";
    return NULL;
}

const char *jws_read(const char *token, struct jws *out)
{
    const char *first = strchr(token, '.'), *second = first ? strchr(first + 1, '.') : NULL;
    size_t len = strlen(token);

    *out = (struct jws){0};
    if (len && token[len - 1] == '.' && second)
        return "it has no signature";
    if (!second || strchr(second + 1, '.') || len > JWS_BYTES_MAX)
        return no_token;

    out->signed_text = (struct slice){token, (size_t)(second - token)};
    out->claims = (struct slice){first + 1, (size_t)(second - first - 1)};
    out->signature = slice_of(second + 1);

    struct json_in *header = part_object((struct slice){token, (size_t)(first - token)});
    const char *fault = read_header(header, out);
    json_in_free(&header);
    return fault;
}

struct json_in *jws_claims(const struct jws *token)
{
    return part_object(token->claims);
}
