/* mqtt.h - the bridge from MQTT, as a program. */
#ifndef SSECAST_MQTT_H
#define SSECAST_MQTT_H

/* Run it. The exit status. */
int mqtt_main(int argc, char **argv);

#endif
