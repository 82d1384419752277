/** Options of an {@link EventStream}. */
export interface EventStreamOptions {
  /** The name of the user whose stream this is: all tabs that give the same name and address share
   *  one connection. Default: false, a connection of its own. An address alone does not say whose
   *  stream it is, so `true` is a TypeError. Needs Web Locks, which browsers have on https and on
   *  localhost; elsewhere each tab has its own connection. */
  shared?: false | string;
  /** Send cookies to another origin too. Default: false. */
  withCredentials?: boolean;
  /** Begin behind this event, an id or the `seq` of a publisher's reply; for a page that was made
   *  from a known state. Default: "", now. */
  lastEventId?: string | number | null;
  /** Channels beside those of the address. A name may have a comma. */
  channels?: string[];
  /** Where the stream begins while there is no cursor: with the oldest event retained, with the
   *  newest `last` events (1 to 1000), or with the first one at `since` (milliseconds, RFC 3339, or
   *  a Date). One of the three. Default: null, now. A tab that begins elsewhere than now shares the
   *  connection of another tab only when it has a cursor. */
  from?: "earliest" | null;
  last?: number | null;
  since?: number | string | Date | null;
  /** The first pause before the stream is opened anew, in milliseconds, when the browser gave up.
   *  Each further one is twice as long; of each, half is left to chance. Default: 1000. */
  firstPause?: number;
  /** No pause is longer, in milliseconds, unless the server asks for more (Retry-After). Default:
   *  30000. */
  longestPause?: number;
  /** How long the tab with the shared connection may be silent, in milliseconds, before one that is
   *  looked at takes over: some browsers suspend tabs in the background without telling them.
   *  Default: 10000. */
  leaderTimeout?: number;
}

/** What happens to the stream, and what is told with it. */
export interface EventStreamEvents {
  /** The stream is open and has its place among the events. What is published from now on is not
   *  missed. */
  online: CustomEvent<Record<string, never>>;
  /** The connection was lost or has been silent for too long, or an attempt failed. `retryIn`:
   *  milliseconds until the next attempt; null when the browser itself chooses. */
  offline: CustomEvent<{ retryIn: number | null }>;
  /** Events may have been lost here, and some may come a second time: load the page's state
   *  anew. */
  gap: CustomEvent<{ last: number | string; oldest: number }>;
  /** The service ended the stream. `stopped` follows when the session is to stay away, else
   *  `online`. */
  shutdown: CustomEvent<{ reason: string | null }>;
  /** The token's time is over, and the stream has ended; `stopped` follows, with status 401. Get a
   *  fresh token and `open()` again. */
  expired: CustomEvent<{ reason: string }>;
  /** A newer stream of the session took its place (the worker's `max-per-session`); `stopped`
   *  follows, with status 409. `open()` would replace that one in turn: call it when the user comes
   *  back to this page. */
  replaced: CustomEvent<{ reason: string }>;
  /** The stream will not be opened again by itself: the server said so (204), or refused (4xx).
   *  `reason` is what it said. `status` 0: it came back as another session's stream, and nothing of
   *  that was delivered; the user of the browser has changed. */
  stopped: CustomEvent<{ status: number; reason: string | null }>;
}

export type EventStreamState = "connecting" | "online" | "offline" | "stopped" | "closed";

/** A stream of events from ssecast, over the browser's own EventSource. */
export class EventStream extends EventTarget {
  /** Throws a TypeError when `shared` is neither false nor a name. */
  constructor(url: string | URL, options?: EventStreamOptions);

  readonly url: string;
  readonly state: EventStreamState;
  readonly online: boolean;
  /** The cursor: everything up to here has been received. "" while it is not known. */
  readonly lastEventId: string;
  /** The id of the open connection, for `except` of a publish; null while it is not known. Tabs
   *  that share a connection have the same. */
  readonly connection: string | null;

  /** Call `listener` for each event of this name ("message" for those without). Returns a function
   *  that ends that. */
  on(name: string, listener: (event: MessageEvent<string>) => void): () => void;
  /** Open again, behind the last event, what was closed or has stopped; at another address, if one
   *  is given: that with a fresh token. It must be the same session's: for another user make
   *  another EventStream. */
  open(url?: string | URL): void;
  close(): void;

  addEventListener<K extends keyof EventStreamEvents>(
    type: K, listener: (event: EventStreamEvents[K]) => void,
    options?: boolean | AddEventListenerOptions): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject | null,
                   options?: boolean | AddEventListenerOptions): void;
  removeEventListener<K extends keyof EventStreamEvents>(
    type: K, listener: (event: EventStreamEvents[K]) => void,
    options?: boolean | EventListenerOptions): void;
  removeEventListener(type: string, listener: EventListenerOrEventListenerObject | null,
                      options?: boolean | EventListenerOptions): void;
}

/** Whom an event concerns. */
export interface Targets {
  sessions?: string[];
  channels?: string[];
  connections?: string[];
}

/** An event to be published: with `data`, any JSON, or with `text`. Without `to` it is for
 *  everyone. */
export interface OutgoingEvent {
  event?: string;
  data?: unknown;
  text?: string;
  to?: Targets;
  except?: Targets;
  /** With the same id it is published once. Left out: {@link publish} makes one. */
  id?: string;
  /** Sets the browsers' reconnection time, in milliseconds. */
  retry?: number;
  /** The event is the current value of this key: pages that open later get it first. */
  key?: string;
  /** Beside `key`: deliver the event, and forget the key. */
  remove?: boolean;
  /** For how long the event may be delivered, in seconds. */
  ttl?: number;
  /** Through a channel of `to` only streams whose token grants that channel get it. */
  private?: boolean;
}

/** Options of {@link publish}. */
export interface PublishOptions {
  /** A token that may publish. Without it the browser's cookie has to be one. */
  token?: string | null;
  /** Send cookies to another origin too. Default: false. */
  withCredentials?: boolean;
  /** How often at most. Default: 6. */
  tries?: number;
  /** How long each try may take, in milliseconds. Default: 10000. */
  timeout?: number;
  /** The first pause between two tries, in milliseconds. Each further one is twice as long; of
   *  each, half is left to chance. Default: 1000. */
  firstPause?: number;
  /** No pause is longer, in milliseconds. Default: 30000. */
  longestPause?: number;
}

export interface PublishReply {
  ok: true;
  /** Of a single event. */
  seq?: number;
  /** How many connections it matched at that moment. */
  online?: number;
  duplicate?: boolean;
  /** Streams show its `seq` instead of its `id`, which an earlier event has shown. */
  seq_as_id?: boolean;
  /** Of a list. */
  seqs?: number[];
  duplicates?: number[];
}

/** Why an event was not published, or (`status` 0 or 5xx) may not have been. */
export class PublishError extends Error {
  constructor(status: number, code: string, message: string);
  readonly status: number;
  readonly code: string;
}

/** Publish an event, or a list of them (all or none), over HTTP: `url` is the streams' address with
 *  `/publish` behind it. Sent again until there is an answer. Throws a TypeError for a URL or a
 *  token that cannot be sent. */
export function publish(url: string | URL, events: OutgoingEvent | OutgoingEvent[],
                        options?: PublishOptions): Promise<PublishReply>;
