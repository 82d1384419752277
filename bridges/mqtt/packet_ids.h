/* packet_ids.h - the own ids of messages that are not acknowledged yet.
 *
 * MQTT has no id of a message that lasts. Until a message is acknowledged, the MQTT broker does
 * not use its packet identifier for another one, and sends it again with that. So a message gets
 * its own id again when its packet identifier and its content are those of a message that is not
 * acknowledged. A file keeps the table, so that holds after a crash too.
 *
 * An entry must be removed before its acknowledgement is sent. An entry that is gone costs a
 * duplicate; one that stays could cost a message.
 */
#ifndef SSECAST_PACKET_IDS_H
#define SSECAST_PACKET_IDS_H

#include <stdint.h>

#include "base/slice.h"

#define PACKET_IDS_ID 64u
#define PACKET_IDS_WHY 256

struct packet_ids;

/* file: created if need be; NULL: the table is in memory only. 0, or -errno with a line in why. A
 * file that is no such table is replaced; one that another process uses is -EWOULDBLOCK. */
int packet_ids_open(struct packet_ids **out, const char *file, char why[PACKET_IDS_WHY]);

/* Safe on NULL. */
void packet_ids_close(struct packet_ids **f);

/* The own id of a message with this packet identifier, 1 to 65535; 0: of none (QoS 0), which is
 * always new. True when it is that of an earlier message that was not acknowledged. */
bool packet_ids_get(struct packet_ids *f, uint16_t packet, struct slice topic, struct slice payload,
                    char id[PACKET_IDS_ID]);

/* The message is about to be acknowledged. */
void packet_ids_remove(struct packet_ids *f, uint16_t packet);

/* The session has gone: packet identifiers mean nothing any more. */
void packet_ids_clear(struct packet_ids *f);

#endif
