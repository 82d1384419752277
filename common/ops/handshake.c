#include "ops/handshake.h"

#include <stddef.h>

const char *handshake_problem(enum handshake what, bool curve)
{
    switch (what) {
    case HANDSHAKE_REFUSED:
        return "the broker refuses this key: "
               "it is not in the broker's file of keys, or has another role there";
    case HANDSHAKE_MISMATCH:
        return curve ? "what answers there does not use CURVE: is it this broker, and has it keys?"
                     : "what answers there is no broker, or wants a key: "
                       "see curve-key-file and broker-key";
    case HANDSHAKE_OTHER:
        return "what answers there is another endpoint of the broker, "
               "or another program such as a web server; "
               "a broker's ports are usually 5570 for commands, 5571 for feed and 5572 for sync";
    case HANDSHAKE_CUT:
        return curve ? "what answers there does not accept us: is "
                       "broker-key the public key of this broker, and is the port the right one?"
                     : "what answers there ends the connection: it is "
                       "another endpoint of the broker, no broker, or wants a key (curve-key-file)";
    case HANDSHAKE_SILENT:
        return "what answers there takes no commands from us: "
               "a web server, the broker's feed or presence, a broker that wants a key, or "
               "one that hangs? The broker's option commands says where it takes them (port 5570)";
    case HANDSHAKE_NONE:
        break;
    }
    return NULL;
}

bool handshake_final(enum handshake what)
{
    return what == HANDSHAKE_REFUSED || what == HANDSHAKE_MISMATCH || what == HANDSHAKE_OTHER;
}

void handshakes_note(struct handshakes *h, enum handshake what)
{
    if (what == HANDSHAKE_SILENT) {
        h->reached = true;
        return;
    }

    h->greeted = h->greeted || what == HANDSHAKE_NONE;
    h->last = what;
    h->cuts = what == HANDSHAKE_CUT ? h->cuts + 1 : 0;
}

const char *handshakes_problem(const struct handshakes *h, bool curve)
{
    bool unsure =
        h->last == HANDSHAKE_NONE || (h->last == HANDSHAKE_CUT && h->cuts < HANDSHAKE_CUTS);
    if (!unsure)
        return handshake_problem(h->last, curve);
    return h->reached && !h->greeted ? handshake_problem(HANDSHAKE_SILENT, curve) : NULL;
}
