/* token_refusal.c - one answer for each verdict that is not good. */
#include "auth/token_refusal.h"

#include "base/must.h"

const struct token_refusal *token_refusal(enum token_verdict verdict, enum token_reader reader)
{
    static const struct token_refusal missing[] = {
        [READER_STREAMS] =
            {"Bearer", "missing_token",
             "token required: in Authorization: Bearer, a cookie, or the parameter `token`"},
        [READER_HUB] = {
            "Bearer", "missing_token",
            "token required: in Authorization: Bearer, the cookie mercureAuthorization or the "
            "parameter `authorization` (0.x), or the cookie __Secure-mercure_access_token (1.0)"}};
    static const struct token_refusal expired = {
        "Bearer error=\"invalid_token\", error_description=\"expired\"", "token_expired",
        "the token has expired"};
    static const struct token_refusal invalid = {"Bearer error=\"invalid_token\"", "invalid_token",
                                                 "the token is not accepted"};

    MUST(reader == READER_STREAMS || reader == READER_HUB);
    MUST(verdict != TOKEN_GOOD);
    if (verdict == TOKEN_MISSING)
        return &missing[reader];
    return verdict == TOKEN_EXPIRED ? &expired : &invalid;
}
