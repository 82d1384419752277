#include "dispatch.h"

#include "service/service.h"
#include "stream/open.h"

void dispatch_request(struct services *services, const struct incoming *in)
{
    struct streams *streams = services->streams;
    const struct service *service;
    bool found = service_find(services, in->params, &service);

    if (!open_refuse(streams, in, found)) {
        if (service)
            service_begin(services, service, in);
        else
            open_request(streams, in);
    }

    params_release(in->params);
}
