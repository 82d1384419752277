#include "news.h"

#include "service/service.h"
#include "stream/current.h"
#include "stream/feed.h"
#include "stream/report.h"
#include "stream/resume.h"

static void on_news(struct streams *set, enum upstream_kind kind, const struct upstream_news *news)
{
    switch (kind) {
    case UPSTREAM_NOTHING:
    case UPSTREAM_PAUSE:
        break;
    case UPSTREAM_JOINED:
        feed_joined(set, news->position);
        break;
    case UPSTREAM_EVENT:
        feed_event(set, news->event);
        break;
    case UPSTREAM_ADVANCED:
        feed_advanced(set, news->position);
        break;
    case UPSTREAM_BROKEN:
        feed_broken(set, news->position, news->oldest);
        break;
    case UPSTREAM_BAN:
        feed_banned(set, news->session, news->until_ms);
        break;
    case UPSTREAM_ALL_BANS:
        feed_all_banned(set, news->position, news->since);
        break;
    case UPSTREAM_STATE_CLEAR:
        current_clear(set);
        break;
    case UPSTREAM_STATE:
        current_state(set, news->event);
        break;
    case UPSTREAM_ALL_STATE:
        current_told(set, news->position);
        break;
    case UPSTREAM_PAGE:
        resume_page(news->asker, news->page);
        break;
    case UPSTREAM_SHUTDOWNS:
        feed_shutdowns(set, news->page);
        break;
    case UPSTREAM_REPLY:
        service_replied(news->asker, news->json);
        break;
    case UPSTREAM_ACKNOWLEDGED:
        report_acknowledged(set, news->mark, news->position);
    }
}

bool news_take(struct streams *set)
{
    struct upstream_news news;
    enum upstream_kind kind;
    while ((kind = upstream_next(set->upstream, &news)) > UPSTREAM_PAUSE)
        on_news(set, kind, &news);
    streams_settle(set);
    return kind == UPSTREAM_PAUSE;
}
