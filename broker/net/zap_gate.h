/* zap_gate.h - the socket on which libzmq asks before a peer connects through CURVE, and the keys
 * that are barred.
 *
 * libzmq asks before each connection (zap.h), and the caller's function decides. It answers when
 * the caller says so; meanwhile peers wait.
 *
 * Ownership: the context and the notice are the caller's, and outlive it.
 */
#ifndef SSECAST_ZAP_GATE_H
#define SSECAST_ZAP_GATE_H

#include "net/zap.h"
#include "ops/curve_key.h"
#include "ops/znotice.h"

#define ZAP_GATE_BARRED 8u /* keys */
#define ZAP_GATE_PREFIX 2u /* frames before a request: routing id, delimiter */

/* Whether a peer with this public key (as text) may connect to a socket of this domain from this
 * address. */
typedef bool zap_gate_admit(void *context, struct slice domain, struct slice key,
                            struct slice address);

struct zap_gate {
    void *socket; /* NULL: not open */
    struct znotice *notice;
    zmq_msg_t frames[ZAP_GATE_PREFIX + ZAP_REQUEST_FRAMES];
    zap_gate_admit *admit;
    void *context;
    struct curve_key barred[ZAP_GATE_BARRED]; /* the keys that were barred last; empty: none */
    size_t barred_count;                      /* since it was opened */
};

/* Call it before any endpoint is bound: libzmq admits every peer while there is no such socket.
 * *notice is initialized for it. g is zeroed. 0 or -errno; close it then, too. */
int zap_gate_open(struct zap_gate *g, void *zmq, struct znotice *notice, zap_gate_admit *admit,
                  void *context);

/* Safe on a zeroed one. */
void zap_gate_close(struct zap_gate *g);

/* Answer all requests that wait. Nothing happens while it is not open. */
void zap_gate_answer(struct zap_gate *g);

/* Refuse this key (as text) from now on, until ZAP_GATE_BARRED others were barred. Other texts are
 * ignored. */
void zap_gate_bar(struct zap_gate *g, const char *key);

#endif
