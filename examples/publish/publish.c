/* Publish an event from C, with libssecast. ./publish [TEXT]
 *
 *     cc publish.c -o publish $(pkg-config --cflags --libs ssecast)
 */
#include <ssecast.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    const char *endpoint = getenv("SSECAST_COMMANDS");
    struct ssecast_publisher_options options = {.endpoints = &endpoint,
                                                .endpoint_count = endpoint ? 1 : 0};
    struct ssecast_event event = {.event = "greeting", .text = argc > 1 ? argv[1] : "hello"};
    struct ssecast_publisher *publisher = NULL;
    struct ssecast_reply *reply = NULL;

    int err = ssecast_publisher_new(&publisher, &options);
    if (!err)
        err = ssecast_publish(publisher, &event, &reply);
    if (reply)
        puts(ssecast_reply_json(reply, NULL));
    else
        fprintf(stderr, "%s\n", strerror(-err));
    ssecast_reply_free(&reply);
    ssecast_publisher_free(&publisher);
    return err != 0;
}
