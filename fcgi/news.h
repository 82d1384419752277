/* news.h - what the broker says, passed to those whom it concerns: the streams, the services, the
 * reports. */
#ifndef SSECAST_NEWS_H
#define SSECAST_NEWS_H

#include "stream/stream.h"

/* Take all that has arrived of set's upstream, and send live streams their events. True when there
 * is more: call it again at once, after streams were written to. */
bool news_take(struct streams *set);

#endif
