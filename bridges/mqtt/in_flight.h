/* in_flight.h - the own ids of messages that are not acknowledged yet.
 *
 * MQTT has no id of a message that lasts. Until a message is acknowledged, the MQTT broker does
 * not use its packet identifier for another one, and sends it again with that. So a message gets
 * its own id again when its packet identifier and its content are those of a message that is not
 * acknowledged. A file keeps the table, so that holds after a crash too.
 *
 * An entry must be removed before its acknowledgement is sent. An entry that is gone costs a
 * duplicate; one that stays could cost a message.
 */
#ifndef SSECAST_IN_FLIGHT_H
#define SSECAST_IN_FLIGHT_H

#include <stdint.h>

#include "base/slice.h"

#define IN_FLIGHT_ID 64u
#define IN_FLIGHT_WHY 256

struct in_flight;

/* file: created if need be; NULL: the table is in memory only. 0, or -errno with a line in why. A
 * file that is no such table is replaced; one that another process uses is -EWOULDBLOCK. */
int in_flight_open(struct in_flight **out, const char *file, char why[IN_FLIGHT_WHY]);

/* Safe on NULL. */
void in_flight_close(struct in_flight **f);

/* The own id of a message with this packet identifier, 1 to 65535; 0: of none (QoS 0), which is
 * always new. True when it is that of an earlier message that was not acknowledged. */
bool in_flight_id(struct in_flight *f, uint16_t packet, struct slice topic, struct slice payload,
                  char id[IN_FLIGHT_ID]);

/* The message is about to be acknowledged. */
void in_flight_remove(struct in_flight *f, uint16_t packet);

/* The session has gone: packet identifiers mean nothing any more. */
void in_flight_clear(struct in_flight *f);

#endif
