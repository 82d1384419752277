#include "dispatch.h"

#include "service/service.h"
#include "stream/open.h"

void dispatch_request(struct services *services, const struct incoming *in)
{
    struct streams *streams = services->streams;
    const struct service *service;
    bool hub, found = service_find(services, in->params, &service, &hub);

    if (!open_refuse(streams, in, found)) {
        if (service)
            service_begin(services, service, in);
        else if (hub)
            open_mercure(streams, in);
        else
            open_request(streams, in);
    }

    params_release(in->params);
}
