/* mercure_rights.c - the claim `mercure` of dialect 0.x,
 * and `authorization_details` of dialect 1.0. */
#include "auth/mercure_rights.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"
#include "codec/json_in.h"

#define MERCURE_CLAIM "mercure"
#define MERCURE_CLAIM_LONG "https://mercure.rocks/"
#define MERCURE_DETAIL "https://mercure.rocks/authorization-detail"

struct rights_reader {
    struct slice hub;
    struct mercure_rights *out;
    struct selector *at; /* where the next selector is kept */
    char *fault;
    size_t size;
};

/* Keep a selector. False with the fault when it is not valid. */
static bool keep_selector(struct rights_reader *r, struct selector s,
                          const char why[PATTERN_WHY_MAX])
{
    if (s.kind == SELECTOR_INVALID) {
        snprintf(r->fault, r->size, "a selector is not valid: %s", *why ? why : "out of memory");
        return false;
    }

    MUST(r->at < r->out->items + r->out->room);
    *r->at++ = s;
    return true;
}

/* A list of selectors of dialect 0.x. False when it is none. */
static bool read_topics(struct rights_reader *r, const struct json_in *list, struct selectors *out)
{
    char why[PATTERN_WHY_MAX] = "";
    *out = (struct selectors){r->at, json_in_count(list)};
    for (size_t i = 0; i < out->count; i++) {
        const struct json_in *item = json_in_item(list, i);
        if (!json_in_is_text(item) ||
            !keep_selector(r, selector_of_topic(json_in_text(item), why), why))
            return false;
    }
    return !list || json_in_is_list(list);
}

/* Room for selectors, of which none is there yet. False when out of memory. */
static bool make_room(struct rights_reader *r, size_t count)
{
    r->at = r->out->items = calloc(count + 1, sizeof *r->out->items);
    r->out->room = r->at ? count : 0;
    return r->at != NULL;
}

/* A member by its name in one draft of the protocol, or in another. */
static const struct json_in *either_member(const struct json_in *object, const char *name,
                                           const char *other)
{
    const struct json_in *member = json_in_member(object, name);
    return member ? member : json_in_member(object, other);
}

/* A member of dialect 0.x. NULL when it is absent or null: a serializer may write null for a list
 * that is not set. An absent member grants nothing, so a null never grants more. */
static const struct json_in *member_set(const struct json_in *object, const char *name)
{
    const struct json_in *member = json_in_member(object, name);
    return json_in_is_null(member) ? NULL : member;
}

static const struct json_in *claim_of(const struct json_in *claims)
{
    const struct json_in *claim = member_set(claims, MERCURE_CLAIM);
    return claim ? claim : member_set(claims, MERCURE_CLAIM_LONG);
}

static bool read_claim(struct rights_reader *r, const struct json_in *claims)
{
    const struct json_in *claim = claim_of(claims);
    const struct json_in *publish = member_set(claim, "publish"),
                         *subscribe = member_set(claim, "subscribe");
    size_t count = json_in_count(publish) + json_in_count(subscribe);

    if ((claim && !json_in_is_object(claim)) || count > MERCURE_RIGHTS_MAX)
        return false;
    return make_room(r, count) && read_topics(r, publish, &r->out->publish) &&
           read_topics(r, subscribe, &r->out->subscribe);
}

static bool lists_action(const struct json_in *actions, const char *action)
{
    for (size_t i = 0; i < json_in_count(actions); i++)
        if (slice_equal(json_in_text(json_in_item(actions, i)), slice_of(action)))
            return true;
    return false;
}

/* Is this a list of actions that are known? */
static bool actions_valid(const struct json_in *actions)
{
    for (size_t i = 0; i < json_in_count(actions); i++) {
        struct slice action = json_in_text(json_in_item(actions, i));
        if (!slice_equal(action, slice_of("publish")) &&
            !slice_equal(action, slice_of("subscribe")))
            return false;
    }
    return json_in_is_list(actions) && json_in_count(actions);
}

/* One topic of a detail. False when it is not what it must be. *out may be invalid all the same. */
static bool read_match(const struct json_in *topic, struct slice hub, struct selector *out,
                       char why[PATTERN_WHY_MAX])
{
    const struct json_in *type = either_member(topic, "match_type", "matchType");
    struct slice match = json_in_text(json_in_member(topic, "match")), name = json_in_text(type);
    bool exact =
        !type || slice_equal(name, slice_of("exact")) || slice_equal(name, slice_of("Exact"));
    bool pattern =
        slice_equal(name, slice_of("urlpattern")) || slice_equal(name, slice_of("URLPattern"));

    if (!match.len || (!exact && !pattern))
        return false;
    *why = '\0';
    *out = pattern ? selector_of_url_pattern(match, hub, why) : selector_of_match(match);
    return true;
}

static bool is_ours(const struct json_in *detail)
{
    return slice_equal(json_in_text(json_in_member(detail, "type")), slice_of(MERCURE_DETAIL));
}

/* Add the topics of a detail, if it is for this action; count counts them.
 * False when they are not what they must be. */
static bool read_detail_topics(struct rights_reader *r, const struct json_in *topics, bool wanted,
                               size_t *count)
{
    char why[PATTERN_WHY_MAX];
    for (size_t i = 0; i < json_in_count(topics); i++) {
        struct selector found;
        if (!read_match(json_in_item(topics, i), r->hub, &found, why) ||
            !keep_selector(r, found, why))
            return false;
        if (wanted)
            *count += 1;
        else
            selector_release(--r->at);
    }
    return true;
}

/* Add the topics of all details for this action. False when one detail is not what it must be. */
static bool read_details(struct rights_reader *r, const struct json_in *details, const char *action,
                         struct selectors *out)
{
    *out = (struct selectors){r->at, 0};
    for (size_t i = 0; i < json_in_count(details); i++) {
        const struct json_in *detail = json_in_item(details, i),
                             *topics = json_in_member(detail, "topics");
        const struct json_in *actions = json_in_member(detail, "actions");
        if (!json_in_is_object(detail) || !json_in_is_text(json_in_member(detail, "type")))
            return false;
        if (!is_ours(detail))
            continue;
        if (!actions_valid(actions) || !json_in_is_list(topics) || !json_in_count(topics) ||
            !read_detail_topics(r, topics, lists_action(actions, action), &out->count))
            return false;
    }
    return true;
}

static bool read_authorization_details(struct rights_reader *r, const struct json_in *claims)
{
    const struct json_in *details = json_in_member(claims, "authorization_details");
    size_t count = 0;
    for (size_t i = 0; i < json_in_count(details); i++)
        count += json_in_count(json_in_member(json_in_item(details, i), "topics"));

    if ((details && !json_in_is_list(details)) || count > MERCURE_RIGHTS_MAX)
        return false;
    return make_room(r, 2 * count) && read_details(r, details, "publish", &r->out->publish) &&
           read_details(r, details, "subscribe", &r->out->subscribe);
}

/* Has an access token the claims that it must have? */
static bool access_is_complete(const struct json_in *claims)
{
    const struct json_in *audience = json_in_member(claims, "aud");
    return json_in_member(claims, "exp") && json_in_is_text(json_in_member(claims, "iss")) &&
           (json_in_is_text(audience) || json_in_count(audience));
}

bool mercure_rights_read(const struct json_in *claims, bool access, struct slice hub,
                         struct mercure_rights *out, char *fault, size_t size)
{
    struct rights_reader r = {.hub = hub, .out = out, .fault = fault, .size = size};
    const char *wrong = NULL;

    *fault = '\0';
    if (access && !access_is_complete(claims))
        wrong = "an access token has exp, iss and aud";
    else if (access && !read_authorization_details(&r, claims))
        wrong = "authorization_details is not what it must be";
    else if (!access && !read_claim(&r, claims))
        wrong = "the claim mercure is not what it must be";

    if (wrong && !*fault)
        snprintf(fault, size, "%s", wrong);
    return !wrong;
}

void mercure_rights_release(struct mercure_rights *rights)
{
    for (size_t i = 0; i < rights->room; i++)
        selector_release(&rights->items[i]);
    free(rights->items);
    *rights = (struct mercure_rights){0};
}

static bool detail_matches(const struct json_in *detail, struct slice hub, struct slice matcher)
{
    const struct json_in *topics = json_in_member(detail, "topics");
    bool found = false;
    for (size_t i = 0; !found && i < json_in_count(topics); i++) {
        char why[PATTERN_WHY_MAX];
        struct selector selector;
        struct topic topic;
        topic_begin(&topic, matcher);
        if (!read_match(json_in_item(topics, i), hub, &selector, why) ||
            selector.kind == SELECTOR_INVALID)
            continue;
        found = slice_equal(selector.text, matcher) || selector_matches(&selector, &topic);
        selector_release(&selector);
    }
    return found;
}

/* The matcher counts as a topic. The first detail that matches says it. */
char *mercure_rights_payload(const struct json_in *claims, bool access, struct slice hub,
                             struct slice matcher)
{
    const struct json_in *payload = NULL,
                         *details = json_in_member(claims, "authorization_details");
    if (!access)
        payload = json_in_member(claim_of(claims), "payload");

    for (size_t i = 0; access && i < json_in_count(details); i++) {
        const struct json_in *detail = json_in_item(details, i);
        if (!is_ours(detail) || !lists_action(json_in_member(detail, "actions"), "subscribe") ||
            !detail_matches(detail, hub, matcher))
            continue;
        payload = json_in_member(detail, "payload");
        break;
    }
    return payload ? json_in_print(payload) : NULL;
}
