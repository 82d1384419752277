/* claims.c - the claims of a token that one of our keys has signed. They may hold anything all the
 * same: the signer is trusted, and not its programs. */
#include "auth/claims.h"

#include <stdlib.h>

#include "auth/token.h"
#include "base/name.h"

#define FAR_MS ((int64_t)1 << 53)

/* Later than this a time is none in seconds, but one in milliseconds, with which a stream would
 * never end. */
#define SECONDS_MAX 1e11 /* the year 5138 */

static bool claim_is_late(const struct json_in *claims, const char *name)
{
    return json_in_number(json_in_member(claims, name)) > SECONDS_MAX;
}

/* A time in seconds, as milliseconds. False when it is there and no number. */
static bool claim_time(const struct json_in *claims, const char *name, int64_t *ms)
{
    const struct json_in *value = json_in_member(claims, name);
    double at = json_in_number(value) * 1000;
    if (value && at >= (double)FAR_MS)
        *ms = FAR_MS;
    else if (value)
        *ms = at <= 1 ? 1 : (int64_t)at;
    return !value || json_in_is_number(value);
}

static bool claim_listed(const struct option_list *list, const struct json_in *value)
{
    for (size_t i = 0; i < list->count; i++)
        if (json_in_is_text(value) && slice_equal(slice_of(list->items[i]), json_in_text(value)))
            return true;
    return false;
}

static bool audience_fits(const struct option_list *wanted, const struct json_in *audience)
{
    bool fits = !wanted || !wanted->count || claim_listed(wanted, audience);
    for (size_t i = 0; !fits && i < json_in_count(audience); i++)
        fits = claim_listed(wanted, json_in_item(audience, i));
    return fits;
}

static bool issuer_valid(const struct json_in *issuer)
{
    return !issuer || json_in_is_text(issuer);
}

/* A text, or a list of texts. */
static bool audience_valid(const struct json_in *audience)
{
    bool valid = !audience || json_in_is_text(audience) || json_in_is_list(audience);
    for (size_t i = 0; valid && i < json_in_count(audience); i++)
        valid = json_in_is_text(json_in_item(audience, i));
    return valid;
}

static bool issuer_fits(const char *wanted, const struct json_in *issuer)
{
    return !wanted ||
           (json_in_is_text(issuer) && slice_equal(slice_of(wanted), json_in_text(issuer)));
}

/* A list of patterns; *at is where the next one is kept. False when it is none. */
static bool claim_patterns(const struct json_in *list, struct names *out, struct slice **at)
{
    *out = (struct names){*at, json_in_count(list)};
    for (size_t i = 0; i < out->count; i++) {
        struct slice pattern = json_in_text(json_in_item(list, i));
        if (!pattern_valid(pattern))
            return false;
        *(*at)++ = pattern;
    }
    return !list || json_in_is_list(list);
}

/* publish: true, false, or an object that limits it. False when it is anything else. */
static bool claim_publish(const struct json_in *publish, struct token *out, struct slice **at)
{
    bool limited = json_in_is_object(publish);
    if (publish && !limited && !json_in_is_true(publish) && !json_in_is_false(publish))
        return false;

    out->may_publish = limited || json_in_is_true(publish);
    if (out->may_publish)
        out->publish = (struct grant){.roles = ROLE_PUBLISHER, .limited = limited};
    return !limited ||
           (claim_patterns(json_in_member(publish, "sessions"), &out->publish.sessions, at) &&
            claim_patterns(json_in_member(publish, "channels"), &out->publish.channels, at));
}

/* What the token gives. False when a claim of ours is not what it must be. */
static bool claim_rights(struct token *out)
{
    const struct json_in *sub = json_in_member(out->claims, "sub"),
                         *channels = json_in_member(out->claims, "channels");
    const struct json_in *publish = json_in_member(out->claims, "publish");
    size_t count = json_in_count(channels) + json_in_count(json_in_member(publish, "sessions")) +
                   json_in_count(json_in_member(publish, "channels"));
    if (count > TOKEN_NAMES_MAX)
        return false;
    struct slice *at = out->names = calloc(count + 1, sizeof *out->names);
    out->sub = json_in_text(sub);
    out->has_channels = channels != NULL;
    return at && (!sub || name_valid(out->sub)) && claim_patterns(channels, &out->channels, &at) &&
           claim_publish(publish, out, &at);
}

const char *claims_judge(const struct token_rules *rules, int64_t now_ms, struct token *out)
{
    const struct json_in *issuer = json_in_member(out->claims, "iss"),
                         *audience = json_in_member(out->claims, "aud");
    int64_t not_before = 0;
    if (!claim_time(out->claims, "exp", &out->expires_ms) ||
        !claim_time(out->claims, "nbf", &not_before))
        return "exp or nbf is not a number";
    if (claim_is_late(out->claims, "exp") || claim_is_late(out->claims, "nbf"))
        return "exp or nbf is beyond the year 5138, so it is in milliseconds; accepted: seconds";
    if (not_before > now_ms + rules->leeway_ms)
        return "nbf is in the future";
    if (!issuer_valid(issuer) || !audience_valid(audience))
        return "iss is not a text, or aud is neither a text nor a list of texts";
    if (!issuer_fits(rules->issuer, issuer))
        return "iss differs from jwt-issuer";
    if (!audience_fits(rules->audience, audience))
        return "aud is not in jwt-audience";
    return claim_rights(out) ? NULL : "sub, channels or publish is not what it must be";
}
