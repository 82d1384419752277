/* token_refusal.c - one answer for each verdict that is not good. */
#include "auth/token_refusal.h"

const struct token_refusal *token_refusal(enum token_verdict verdict)
{
    static const struct token_refusal missing = {
        "Bearer", "missing_token", "token required: in Authorization: Bearer, a cookie, or the parameter `token`"};
    static const struct token_refusal expired = {"Bearer error=\"invalid_token\", error_description=\"expired\"",
                                                 "token_expired", "the token has expired"};
    static const struct token_refusal invalid = {"Bearer error=\"invalid_token\"", "invalid_token",
                                                 "the token is not accepted"};

    if (verdict == TOKEN_MISSING)
        return &missing;
    return verdict == TOKEN_EXPIRED ? &expired : &invalid;
}
