/* ssecast-mqtt: the bridge from MQTT. */
#include "mqtt/mqtt.h"

int main(int argc, char **argv)
{
    return mqtt_main(argc, argv);
}
