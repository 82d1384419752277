#include "service/judgement.h"

#include <stdio.h>
#include <stdlib.h>

#include "auth/token_refusal.h"
#include "base/clock.h"
#include "stream/limits.h"

static bool brings_token(const struct tokens *t, const struct params *params)
{
    (void)t;
    return token_is_brought_to_mercure(params);
}

const struct judgement_source judgement_hub = {brings_token, tokens_verify_mercure};

static void free_judgement(void *judgement)
{
    struct judgement *j = judgement;
    token_release(&j->token);
    free(j);
}

const struct judgement *judgement_of(const struct services *services, struct params *params,
                                     const struct judgement_source *source)
{
    struct streams *set = services->streams;
    struct judgement *j = params->judgement;
    if (j || !set->tokens || !(j = calloc(1, sizeof *j)))
        return j;

    params->judgement = j;
    params->judgement_free = free_judgement;
    j->too_fast = source->brought(set->tokens, params) && !limits_admit_token(set, params);
    if (!j->too_fast)
        source->verify(set->tokens, params, clock_unix_ms(), &j->token);
    return j;
}

static enum token_verdict verdict_now(const struct judgement *j)
{
    if (!j)
        return TOKEN_MISSING;

    bool over = j->token.expires_ms && j->token.expires_ms <= clock_unix_ms();
    return j->token.verdict == TOKEN_GOOD && over ? TOKEN_EXPIRED : j->token.verdict;
}

static void refuse_token(struct call *c, enum token_verdict verdict, enum token_reader reader)
{
    char challenge[128];
    const struct token_refusal *refusal = token_refusal(verdict, reader);
    snprintf(challenge, sizeof challenge, "WWW-Authenticate: %s\r\n", refusal->challenge);
    c->headers = challenge;
    call_refuse(c, 401, refusal->error, "%s", refusal->message);
}

static const struct token *judged(const struct judgement *j, struct call *c,
                                  enum token_reader reader)
{
    if (j && j->too_fast) {
        call_refuse_rate(c);
        return NULL;
    }
    enum token_verdict verdict = verdict_now(j);
    if (!j || verdict != TOKEN_GOOD) {
        refuse_token(c, verdict, reader);
        return NULL;
    }
    return &j->token;
}

const struct token *judgement_token(const struct judgement *j, struct call *c)
{
    return judged(j, c, READER_STREAMS);
}

const struct token *judgement_hub_token(const struct judgement *j, struct call *c,
                                        const struct params *params)
{
    if (params_query_repeated(params, "authorization")) {
        call_refuse(c, 400, "repeated_parameter",
                    "the query names authorization twice; accepted: once");
        return NULL;
    }
    return judged(j, c, READER_HUB);
}
