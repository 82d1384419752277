/* identity.h - which peers may choose their routing id.
 *
 * Workers do. libzmq (4.3.4, 4.3.5) cannot cope with some ids. A peer that has the id of another
 * one is never read, and its messages are kept until the broker ends. A peer that has the id that
 * libzmq is about to give to the next one ends the process. So a peer with CURVE whose key is not a
 * worker's has no id of its own: libzmq gives it one. Nothing that it is sent depends on it.
 *
 * Thread-safe: libzmq's thread asks.
 */
#ifndef SSECAST_IDENTITY_H
#define SSECAST_IDENTITY_H

#include "net/keys.h"

/* The keys in force; NULL: none. They have to stay valid until the next call. */
void identity_use(const struct keys *keys);

/* The content of a CURVE INITIATE, decrypted: the peer's key, 96 bytes of its vouch, and properties
 * as in READY. Rename the property with the routing id, if it is not for this peer to choose or
 * breaks ZMTP's rules: 1 to 255 bytes, the first not 0. */
void identity_restrict(unsigned char *initiate, size_t len);

#endif
