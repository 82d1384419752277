/* ssecast.js - an event stream in the page: the native EventSource, and what it leaves to the page.
 *
 *     const stream = new EventStream("/sse?session=anna&channels=news");
 *     stream.on("greeting", (event) => console.log(JSON.parse(event.data), event.lastEventId));
 *     stream.addEventListener("gap", () => location.reload());
 *
 * EventSource gives up for good when a web server answers 502 or 503 once, and never notices a
 * connection that is dead but not closed. It keeps its cursor to itself, and takes one of the six
 * connections to a host for each tab. An EventStream opens anew with growing, jittered pauses and
 * resumes after the last event. It watches the heartbeats and tells what happens to the stream.
 * Tabs of one user can share one connection.
 *
 * Three parts: Connection keeps one EventSource going; Sharing lets one tab have the connection and
 * the others listen to that tab; EventStream is what the page uses. The first two report to a sink:
 *
 *     sink.begin({ connection, owner })   a stream was opened: its id, and an opaque value for its
 *                                         session
 *     sink.entry({ type, data, id })      an event; type is null for a checkpoint, which only moves
 *                                         the cursor
 *     sink.tell(what, detail)             "online", "offline", "gap", "shutdown", "expired",
 *                                         "replaced", "stopped"
 */

const CHECKPOINT = "ssecast.checkpoint";
const STARTS = ["from", "last", "since"];
const NOBODY = "none"; // the owner of a stream without a session; others are hexadecimal
const DEFAULTS = { shared: false, withCredentials: false, channels: [], lastEventId: "", from: null,
                   last: null, since: null, firstPause: 1000, longestPause: 30000,
                   leaderTimeout: 10000 };

const SILENT_HEARTBEATS = 2; // without a sign of life, and half a heartbeat later still none: dead
const LONGEST_PATIENCE = 16;
const PROBE_TIMEOUT = 10000;
const LONGEST_WAIT = 3600000; // of what Retry-After asks for
const REPLACED_PAUSE = 100; // until a stream that was replaced is told as such

/* ---- one EventSource, kept going ---- */

/* EventSource dispatches its own open and error under names that publishers may use too. What was
 * published is a MessageEvent; what EventSource says of itself is not. */
const isPublished = (event) => event instanceof MessageEvent;

/* start: { cursor, owner }, where to resume, and whose stream it must be; "" where not known. */
class Connection {
  #url; #options; #cursor; #owner; #names; #sink;
  #source = null;
  #pauses = 0;       // in a row without success
  #timer = 0;
  #leaving = null;   // the detail, after ssecast.shutdown and until the stream is open again
  #probe = null;     // AbortController of the last question since the stream was open
  #waitUntil = 0;    // the server asked not to come back before
  #signs = 0;        // events and checkpoints of this stream from its first checkpoint on
  #begun = false;    // something of this stream has come
  #heartbeat = 0;    // in milliseconds; 0: not known
  #watchdog = 0;     // an interval timer
  #signAt = 0;       // when the last event or checkpoint came
  #overdue = false;  // the watchdog has found it late already
  #patience = 1;     // doubled after each dead stream that did not get beyond its first checkpoint

  constructor(url, options, { cursor, owner }, names, sink) {
    this.#url = url;
    this.#options = options;
    this.#cursor = cursor;
    this.#owner = owner;
    this.#names = new Set(names);
    this.#sink = sink;
    addEventListener("online", this.#onNetwork);
    this.#open();
  }

  listen(name) {
    if (!this.#names.has(name))
      this.#source?.addEventListener(name, this.#onEvent);
    this.#names.add(name);
  }

  close() {
    removeEventListener("online", this.#onNetwork);
    clearTimeout(this.#timer);
    clearInterval(this.#watchdog);
    this.#probe?.abort();
    this.#source?.close();
    this.#source = null;
  }

  /* The address to open now. A header would be better, but EventSource has none to give. */
  #address() {
    const url = new URL(this.#url);
    url.searchParams.set("checkpoints", "always");
    if (this.#cursor)
      url.searchParams.set("lastEventId", this.#cursor);
    for (const name of this.#cursor ? [] : STARTS)
      if (this.#options[name] !== null)
        url.searchParams.set(name, this.#options[name] instanceof Date
                               ? this.#options[name].getTime() : this.#options[name]);
    return url;
  }

  #open() {
    const source = new EventSource(this.#address(),
                                   { withCredentials: this.#options.withCredentials });
    source.onopen = (event) => isPublished(event) || this.#onOpen();
    source.onerror = (event) => isPublished(event) || this.#onError();
    source.addEventListener(CHECKPOINT, (event) => this.#onCheckpoint(event));
    source.addEventListener("ssecast.gap", (event) => this.#onGap(JSON.parse(event.data)));
    source.addEventListener("ssecast.shutdown",
                            (event) => this.#onShutdown(JSON.parse(event.data)));
    source.addEventListener("ssecast.expired", (event) => this.#onExpired(JSON.parse(event.data)));
    source.addEventListener("ssecast.replaced",
                            (event) => this.#onReplaced(JSON.parse(event.data)));
    for (const name of this.#names)
      source.addEventListener(name, this.#onEvent);
    this.#source = source;
    this.#signs = 0;
    this.#begun = false;
    this.#watch();
  }

  #onGap(detail) {
    this.#noteSign();
    this.#sink.tell("gap", detail);
  }

  #onEvent = (event) => isPublished(event) && this.#entry(event.type, event);

  #entry(type, { data, lastEventId }) {
    this.#noteSign();
    this.#cursor = lastEventId || this.#cursor;
    this.#sink.entry({ type, data, id: this.#cursor });
  }

  /* The first checkpoint of a stream says which stream it is. */
  #onCheckpoint(event) {
    const { connection, heartbeat, owner = connection ? NOBODY : "" } =
      JSON.parse(event.data || "{}");

    if (owner && this.#owner && owner !== this.#owner)
      return this.#stop(0, "the stream belongs to another session now");

    if (connection) {
      this.#owner ||= owner;
      this.#heartbeat = heartbeat ?? 0;
      this.#watch();
      this.#sink.begin({ connection, owner: this.#owner });
    }

    this.#noteSign();
    const moved = event.lastEventId && event.lastEventId !== this.#cursor;
    if (connection || moved)
      this.#entry(null, event); // the first one tells other tabs where this stream begins
    if (!this.#signs && (connection || event.lastEventId))
      this.#onPlaced();
  }

  /* The stream has its place in the sequence. Without one it is open all the same: the worker is
   * full or stops, and ends it; or it has no broker yet. */
  #onPlaced() {
    this.#signs = 1;
    this.#leaving = null;
    this.#sink.tell("online", {});
  }

  /* With checkpoints=always the worker sends checkpoints on quiet streams and on busy ones, at most
   * one and a half heartbeats apart. Without it a script would not see that a stream is alive:
   * comments, and events that it has no listeners for, are not dispatched. */
  #watch() {
    clearInterval(this.#watchdog);
    this.#signAt = performance.now();
    this.#overdue = false;

    if (this.#heartbeat)
      this.#watchdog = setInterval(() => this.#onTick(), this.#heartbeat / 2);
  }

  #noteSign() {
    this.#signAt = performance.now();
    this.#begun = true;
    // the first checkpoint does not show that large events arrive; what is before it comes again
    if (!this.#signs)
      return;

    this.#signs++;
    this.#patience = 1;
  }

  /* A page that was busy or suspended may be late itself: look twice before giving the stream up.
   * On a slow line a large event takes longer than that, and nothing is dispatched meanwhile. It
   * begins anew with each attempt, so the next one gets more time. */
  #onTick() {
    const heartbeats = SILENT_HEARTBEATS * (this.#begun ? this.#patience : 1);
    const overdue = performance.now() - this.#signAt > heartbeats * this.#heartbeat;

    if (overdue && this.#overdue) {
      clearInterval(this.#watchdog);
      this.#source.close();
      if (this.#begun && this.#signs <= 1)
        this.#patience = Math.min(2 * this.#patience, LONGEST_PATIENCE);
      this.#openLater();
    }

    this.#overdue = overdue;
  }

  #onOpen() {
    this.#watch();
    this.#pauses = 0;
    this.#probe = null;
  }

  #onShutdown(detail) {
    this.#leaving = detail;
    this.#sink.tell("shutdown", detail);
  }

  /* The token's time is over. EventSource would come back with it, and be refused. */
  #onExpired(detail) {
    this.#sink.tell("expired", detail);
    this.#stop(401, detail.reason);
  }

  /* A newer stream of the session took its place. EventSource would come back and replace that one
   * in turn. When the newer one is another tab's that has taken the lead from us meanwhile, we are
   * closed within the pause, and follow it. */
  #onReplaced(detail) {
    this.close();
    this.#timer = setTimeout(() => {
      this.#sink.tell("replaced", detail);
      this.#stop(409, detail.reason);
    }, REPLACED_PAUSE);
  }

  /* After the end of a stream or a network error EventSource comes back by itself. After any answer
   * but 200 it is CLOSED, and so it is in a page that is being left, which is no news: wait whether
   * it goes on. */
  #onError() {
    clearInterval(this.#watchdog);
    this.#signs = 0;
    this.#begun = false;
    if (this.#source.readyState !== EventSource.CLOSED)
      this.#sink.tell("offline", { retryIn: null });
    else
      this.#timer = setTimeout(() => this.#onGivenUp(), 100);
  }

  /* After a shutdown it may have been the 204 of a ban, or a web server that is without a worker
   * just now: ask at once, but only once. */
  #onGivenUp() {
    if (this.#leaving && !this.#probe)
      this.#openIfWanted();
    else
      this.#openLater();
  }

  /* wait: for how long the server asks at least. */
  #openLater(wait = 0) {
    const spread = Math.random() * Math.min(wait, this.#options.longestPause);
    const pause = Math.round(Math.max(pauseOf(this.#options, this.#pauses++), wait + spread));
    this.#waitUntil = performance.now() + wait;
    this.#timer = setTimeout(() => this.#openIfWanted(), pause);
    this.#sink.tell("offline", { retryIn: pause });
  }

  /* The machine has a network again: soon, but not all machines of a house at once. A server that
   * asked for a wait gets it. */
  #onNetwork = () => {
    if (!this.#timer || performance.now() < this.#waitUntil)
      return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#openIfWanted(), Math.random() * this.#options.firstPause);
  };

  /* EventSource does not tell which status made it give up, so ask first. */
  async #openIfWanted() {
    this.#timer = 0;
    this.#probe = new AbortController();
    const { status, reason, wait } = await ask(this.#address(), this.#options.withCredentials,
                                               this.#probe);
    if (!this.#source)
      return; // closed meanwhile
    if (status === 200)
      this.#open();
    else if (status === 204 || isRefusal(status))
      this.#stop(status, status === 204 && this.#leaving ? this.#leaving.reason : reason);
    else
      this.#openLater(wait);
  }

  #stop(status, reason) {
    this.close();
    this.#sink.tell("stopped", { status, reason });
  }
}

/* How a stream would be answered: its status, 0 when there is no answer or no stream. reason: what
 * a refusal says, or null. wait: for how long it asks, in milliseconds. HEAD opens no stream, which
 * would count as one of the session. GET brings the reason, and is asked too where a web server
 * refuses HEAD itself, or answers it with something else. */
async function ask(url, withCredentials, abort) {
  const timer = setTimeout(() => abort.abort(), PROBE_TIMEOUT);
  const request = { signal: abort.signal, cache: "no-store",
                    credentials: withCredentials ? "include" : "same-origin" };
  try {
    let response = await fetch(url, { ...request, method: "HEAD" });
    if (isRefusal(response.status) || response.status === 501
        || response.status === 200 && !isStream(response))
      response = await fetch(url, request);
    if (response.status === 200)
      return { status: isStream(response) ? 200 : 0, reason: null, wait: 0 };
    return { status: response.status,
             reason: (await response.json().catch(() => null))?.message ?? null,
             wait: waitOf(response) };
  } catch {
    return { status: 0, reason: null, wait: 0 };
  } finally {
    clearTimeout(timer);
    abort.abort();
  }
}

const isStream = (response) => /^text\/event-stream\b/i.test(response.headers.get("Content-Type"));

/* ---- what streams and publishers share ---- */

/* An answer that stays the same when the request is repeated. */
const isRefusal = (status) => status >= 400 && status < 500 && ![408, 425, 429].includes(status);

/* Growing, and jittered, so that the pages of a whole site do not come back in the same instant. */
function pauseOf({ firstPause, longestPause }, pausesBefore) {
  return Math.min(longestPause, firstPause * 2 ** pausesBefore) * (0.5 + Math.random() / 2);
}

/* Retry-After, seconds or a date, in milliseconds; 0 without one. A script sees it in answers of
 * the page's own origin, and where it is exposed. */
function waitOf(response) {
  const text = response.headers.get("Retry-After") ?? "";
  const wait = /^\d+$/.test(text) ? 1000 * text : Date.parse(text) - Date.now();
  return wait > 0 ? Math.min(wait, LONGEST_WAIT) : 0;
}

/* ---- one connection for all tabs of a user ---- */

/* The tab that holds the lock leads: it has the Connection and posts all that it reports. The
 * others follow. When the leader goes, the browser hands the lock to the next, which opens the
 * stream behind the last event it was sent. All tabs remember what came last, so that each can be
 * the next leader, and can bring up to date a tab that was not sent quite as much. A leader that a
 * browser suspends without a word keeps its lock and is silent: a tab that is looked at takes the
 * lock from it.
 *
 * The user's name is part of the lock's and the channel's name, so that tabs of another user hear
 * nothing. A Connection stops when the worker says that the stream is another session's now. Tabs
 * that know whose session theirs is follow no other.
 *
 * A browser dispatches only what a page listens for. So the leader knows the events of a name from
 * the moment it listens for that name, and a tab that begins before that needs a connection of its
 * own. A tab that followed the leader before this one is sure: its names were listened for all the
 * time.
 *
 * Messages, each with the tab it comes from:
 *     from any tab, heard by all: join { n, cursor, names, followed }, names { names }, ping {}
 *     from the leader: leading {}, welcome { to, n, names, missed, cursor, state, stream },
 *                      begin { stream }, entry { entry }, tell { what, detail }, alive {},
 *                      deposed {}
 * join has the owner too, and elsewhere: the tab has no cursor and begins elsewhere than now, so it
 * needs a connection of its own. stream: what begin() of the sink is called with; null before that.
 */
class Sharing {
  #url; #options; #cursor; #owner; #names; #sink;
  #tab = crypto.randomUUID();
  #name; #channel;
  #leader = null;      // the tab whose messages count
  #followed = null;    // the tab that has told us all up to our cursor; our own when we led
  #before = null;      // when we lead: the one that we followed before
  #asked = 0;          // the last join
  #joined = false;     // and the leader has answered it
  #heard = false;      // a leader has said something of late
  #listening;          // the timer that asks for that
  #connection = null;  // we lead, or are on our own
  #state = ["connecting", {}];
  #stream = null;
  #recent = new Recent();
  // the cursor behind which events were lost: a tab that has it must hear of that from the server
  #gapAt = null;
  #withdraw = new AbortController();
  #release = null;     // gives the lock back

  constructor(url, options, { cursor, owner }, names, sink) {
    this.#url = url;
    this.#options = options;
    this.#cursor = cursor;
    this.#owner = owner;
    this.#names = new Set(names);
    this.#sink = sink;
    this.#name = `ssecast ${JSON.stringify([options.shared, options.withCredentials, url])}`;
    try {
      this.#channel = new BroadcastChannel(this.#name);
    } catch {
      this.#goAlone();
      return;
    }
    this.#channel.onmessage = ({ data }) => this.#onMessage(data);
    this.#listening = setInterval(() => this.#checkLeader(), options.leaderTimeout / 2);
    this.#join();
    this.#compete(false);
  }

  static possible() {
    return Boolean(globalThis.navigator?.locks && globalThis.BroadcastChannel
                   && globalThis.isSecureContext)
           && globalThis.origin !== "null"; // a sandboxed frame shares with nobody
  }

  listen(name) {
    this.#addNames([name]);
    this.#post({ kind: "names", names: [name] });
  }

  close() {
    this.#connection?.close();
    this.#leave();
  }

  #leave() {
    clearInterval(this.#listening);
    this.#channel?.close();
    this.#channel = null;
    this.#withdraw.abort();
    this.#release?.();
  }

  #post(message) {
    this.#channel?.postMessage({ ...message, from: this.#tab });
  }

  #join() {
    this.#joined = false;
    this.#post({ kind: "join", n: ++this.#asked, cursor: this.#cursor, owner: this.#owner,
                 names: [...this.#names], followed: this.#followed,
                 elsewhere: !this.#cursor && this.#beginsElsewhere() });
  }

  #beginsElsewhere() {
    const query = new URL(this.#url).searchParams;
    return STARTS.some((name) => this.#options[name] !== null || query.has(name))
      || Boolean(query.get("lastEventId"));
  }

  #onMessage(message) {
    this.#on[message.kind]?.(message);
    this.#heard ||= !["join", "names", "ping", "deposed"].includes(message.kind)
      && [null, message.from].includes(this.#leader);
  }

  #addNames(names) {
    for (const name of names) {
      this.#names.add(name);
      this.#connection?.listen(name);
    }

    if (this.#connection)
      this.#recent.listenedFor(names, true);
  }

  #on = {
    names: ({ names }) => this.#addNames(names),

    join: ({ from, n, cursor, owner, names, elsewhere, followed }) => {
      this.#addNames(names);
      if (this.#connection)
        this.#post({ kind: "welcome", to: from, n, names: [...this.#names],
                     missed: this.#isOurs(owner) && !elsewhere
                       ? this.#missedSince(cursor, names, followed) : null,
                     cursor: this.#cursor, state: this.#state, stream: this.#stream });
    },

    ping: () => this.#connection && this.#post({ kind: "alive" }),

    leading: ({ from }) => {
      if (this.#connection)
        return; // our own lock is gone, which we will be told
      this.#leader = from;
      this.#join();
    },

    deposed: ({ from }) => {
      if (this.#connection || from !== this.#leader)
        return;
      this.#leader = null;
      this.#join();
    },

    welcome: ({ from, to, n, names, missed, cursor, state, stream }) => {
      if (to !== this.#tab || n !== this.#asked || this.#connection
          || (this.#leader && from !== this.#leader))
        return; // also of a tab that has not been told yet that it leads no more
      this.#addNames(names);
      if (!missed)
        return this.#goAlone();
      this.#leader = this.#followed = from;
      this.#joined = true;
      if (stream && !this.#begin(stream))
        return;
      for (const entry of missed)
        this.#take(entry);
      this.#moveTo(cursor);
      if (state[0] !== "connecting")
        this.#sink.tell(...state);
    },

    begin: ({ from, stream }) => this.#heeds(from) && this.#begin(stream),
    entry: ({ from, entry }) => this.#heeds(from) && this.#take(entry),
    tell: ({ from, what, detail }) => this.#heeds(from) && this.#pass(what, detail),
  };

  #heeds(from) {
    return this.#joined && from === this.#leader && !this.#connection;
  }

  #isOurs(owner) {
    return !owner || !this.#owner || owner === this.#owner;
  }

  /* Whether this stream, the leader's, is our session's. If not we leave: the server knows what is
   * ours. */
  #begin(stream) {
    const ours = this.#isOurs(stream.owner);

    if (ours) {
      this.#owner ||= stream.owner;
      this.#stream = stream;
      this.#sink.begin(stream);
    } else {
      this.#goAlone();
    }

    return ours;
  }

  /* What a tab with this cursor has not been sent; null when that is not known. One without a
   * cursor begins now. */
  #missedSince(cursor, names, followed) {
    if (cursor === "")
      return [];
    if (cursor === this.#gapAt)
      return null;

    const sure = followed !== null && [this.#tab, this.#before].includes(followed);
    const missed = cursor === this.#cursor
      ? { entries: [], place: this.#recent.place } : this.#recent.after(cursor);
    return missed && (sure || this.#recent.knows(names, missed.place)) ? missed.entries : null;
  }

  #moveTo(cursor) {
    if (cursor !== this.#cursor)
      this.#take({ type: null, data: "", id: cursor });
  }

  #take(entry) {
    this.#cursor = entry.id;
    this.#recent.add(entry);
    this.#sink.entry(entry);
  }

  #pass(what, detail) {
    if (what === "gap") {
      this.#recent.clear(); // what follows may come again
      this.#gapAt = this.#cursor;
    }
    if (what === "stopped")
      this.#leave();        // a tab that is opened later asks for itself
    this.#sink.tell(what, detail);
  }

  async #compete(steal) {
    this.#withdraw.abort();
    const mine = this.#withdraw = new AbortController();

    try {
      await navigator.locks.request(this.#name, steal ? { steal } : { signal: mine.signal },
                                    () => this.#onLock());
    } catch {
      if (!mine.signal.aborted)
        this.#onLockRefused();
    }
  }

  /* A lock that we had was taken from us. One that we never had will not be given: some browsers
   * and frames have no locks for a page. */
  #onLockRefused() {
    if (this.#release)
      this.#onLockLost();
    else
      this.#goAlone();
  }

  #checkLeader() {
    if (this.#release || globalThis.document?.hidden)
      return;
    if (!this.#heard)
      return this.#compete(true);
    this.#heard = false;
    this.#post({ kind: "ping" });
  }

  /* We were suspended, and another tab leads. Until now we may have said that we do. */
  #onLockLost() {
    this.#release = null;
    this.#post({ kind: "deposed" });
    this.#connection?.close();
    this.#connection = null;
    this.#leader = null;
    this.#state = ["connecting", {}];
    this.#join();
    this.#compete(false);
  }

  /* The lock is ours, for as long as the promise that is returned lasts. */
  async #onLock() {
    if (!this.#channel)
      return; // closed while it was on its way to us
    await new Promise((release) => {
      this.#release = release;
      // the last words of the one before may still be on their way
      setTimeout(() => this.#lead(), this.#leader ? 50 : 0);
    });
  }

  #lead() {
    if (!this.#channel || !this.#release || this.#connection)
      return;
    this.#before = this.#followed;
    this.#followed = this.#tab;
    this.#recent.listenedFor(this.#names, false);
    this.#post({ kind: "leading" });
    this.#connect({
      begin: (stream) => {
        this.#begin(stream);
        this.#post({ kind: "begin", stream });
      },
      entry: (entry) => {
        this.#post({ kind: "entry", entry });
        this.#take(entry);
      },
      tell: (what, detail) => {
        if (what === "online" || what === "offline")
          this.#state = [what, detail];
        this.#post({ kind: "tell", what, detail });
        this.#pass(what, detail);
      },
    });
  }

  /* Nobody here knows what we have missed, but the server does. */
  #goAlone() {
    this.#leave();
    this.#connect(this.#sink);
  }

  #connect(sink) {
    this.#connection = new Connection(
      this.#url, this.#options, { cursor: this.#cursor, owner: this.#owner }, this.#names, sink);
  }
}

/* The last entries, bounded in number and size. A place is a number of entries since the
 * beginning. */
class Recent {
  static #entriesMax = 500;
  static #sizeMax = 1 << 20;
  #entries = [];
  #size = 0;
  #place = 0;
  #names = new Map(); // each with the place behind which all its events are entries

  get place() { return this.#place; }

  /* From now on. open: the stream is open, and events of these names may have come since the last
   * entry. */
  listenedFor(names, open) {
    if (!open)
      this.#names.clear();

    for (const name of names)
      if (!this.#names.has(name))
        this.#names.set(name, this.#place + (open ? 1 : 0));
  }

  knows(names, place) {
    return names.every((name) => this.#names.get(name) <= place);
  }

  add(entry) {
    this.#place++;
    this.#entries.push(entry);
    this.#size += entry.data.length;
    while (this.#entries.length > Recent.#entriesMax || this.#size > Recent.#sizeMax)
      this.#size -= this.#entries.shift().data.length;
  }

  clear() {
    this.#entries = [];
    this.#size = 0;
  }

  /* The entries behind the last one with this id, and its place; null when there is none. */
  after(id) {
    const at = this.#entries.findLastIndex((entry) => entry.id === id);
    return at < 0 ? null : { entries: this.#entries.slice(at + 1),
                             place: this.#place - this.#entries.length + at + 1 };
  }
}

/* ---- what the page uses ---- */

function absolute(url) {
  return new URL(url, globalThis.document?.baseURI ?? globalThis.location?.href);
}

/* An option that is undefined is one that was not given. */
function withDefaults(defaults, options) {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return { ...defaults, ...Object.fromEntries(given) };
}

/* The address with these channels: in one parameter, and those with a comma in one each. */
function addressOf(url, channels) {
  const address = absolute(url), query = address.searchParams;
  const listed = (query.get("channels") ?? "").split(",").filter(Boolean);
  const plain = channels.filter((name) => !name.includes(",") && !listed.includes(name));

  if (plain.length)
    query.set("channels", [...listed, ...plain].join(","));
  for (const name of channels)
    if (name.includes(",") && !query.getAll("channel").includes(name))
      query.append("channel", name);
  return address.href;
}

/* An address does not say whose stream it is: the session may come from a cookie, and the next user
 * of the browser has the same address. So the page names the user. */
function checkShared(shared) {
  if (shared && typeof shared !== "string" || shared === "")
    throw new TypeError("shared must be false, or the name of the user whose stream it is: "
                        + "tabs share a stream only when they name the same user");
}

/* A stream of events. Its own events, for addEventListener, are online, offline, gap, shutdown,
 * expired, replaced and stopped; what was published is for on(), so that neither can be taken for
 * the other. */
export class EventStream extends EventTarget {
  #url; #options; #cursor;
  #owner = "";         // an opaque value for the session whose stream this is
  #connection = null;
  #names = new Set();
  #published = new EventTarget();
  #link = null;      // a Connection or a Sharing
  #wanted = false;   // open, or it will be
  #state = "closed";

  /* url: the stream's address, with session and channels. options: see ssecast.d.ts. Opens at
   * once. */
  constructor(url, options = {}) {
    super();
    this.#options = withDefaults(DEFAULTS, options);
    this.#url = addressOf(url, this.#options.channels);
    checkShared(this.#options.shared);
    // the seq of a publisher's reply is a number
    this.#cursor = String(this.#options.lastEventId ?? "");
    this.open();
  }

  get url() { return this.#url; }
  get state() { return this.#state; }
  get online() { return this.#state === "online"; }
  get lastEventId() { return this.#cursor; }
  get connection() { return this.#connection; }

  /* Call listener with a MessageEvent for each event of this name. Returns a function that ends
   * that. */
  on(name, listener) {
    this.#published.addEventListener(name, listener);
    if (!this.#names.has(name))
      this.#link?.listen(name);
    this.#names.add(name);
    return () => this.#published.removeEventListener(name, listener);
  }

  /* Open again, behind the last event, what was closed or has stopped; at another address, if one
   * is given: that with a fresh token. */
  open(url = this.#url) {
    if (this.#wanted)
      return;
    this.#url = addressOf(url, this.#options.channels);
    this.#wanted = true;
    this.#state = "connecting";
    addEventListener("pagehide", this.#suspend);
    addEventListener("pageshow", this.#start);
    globalThis.document?.addEventListener("freeze", this.#suspend);
    globalThis.document?.addEventListener("resume", this.#start);
    queueMicrotask(this.#start); // with the names that are said until then
  }

  close() {
    this.#end("closed");
  }

  #end(state) {
    this.#wanted = false;
    removeEventListener("pagehide", this.#suspend);
    removeEventListener("pageshow", this.#start);
    globalThis.document?.removeEventListener("freeze", this.#suspend);
    globalThis.document?.removeEventListener("resume", this.#start);
    this.#suspend();
    this.#state = state;
  }

  #start = () => {
    if (!this.#wanted || this.#link)
      return;
    this.#state = "connecting";
    const Link = this.#options.shared && Sharing.possible() ? Sharing : Connection;
    // a listener of the page may have closed it
    const heard = (listener) => (...given) => this.#link === link && listener(...given);
    let link = null;
    const from = { cursor: this.#cursor, owner: this.#owner };
    this.#link = link = new Link(this.#url, this.#options, from, this.#names, {
      begin: heard(({ connection, owner }) => {
        this.#connection = connection;
        this.#owner ||= owner;
      }),
      entry: heard((entry) => this.#onEntry(entry)),
      tell: heard((what, detail) => this.#onTold(what, detail)),
    });
  };

  /* A page that was left may be kept for the way back, one in the background be frozen: it must not
   * count as online, nor hold a connection, nor lead other tabs. */
  #suspend = () => {
    this.#link?.close();
    this.#link = null;
    this.#connection = null;
  };

  #onEntry({ type, data, id }) {
    this.#cursor = id;
    if (type !== null)
      this.#published.dispatchEvent(
        new MessageEvent(type, { data, lastEventId: id, origin: new URL(this.#url).origin }));
  }

  #onTold(what, detail) {
    if (what === "online" && this.#state === "online")
      return; // another tab took over
    if (what === "offline")
      this.#connection = null;
    if (what === "online" || what === "offline")
      this.#state = what;
    if (what === "stopped")
      this.#end(what);
    this.dispatchEvent(new CustomEvent(what, { detail }));
  }
}

/* ---- publishing, where the worker takes events over HTTP ---- */

const PUBLISH_DEFAULTS = { token: null, withCredentials: false, tries: 6, timeout: 10000,
                           firstPause: 1000, longestPause: 30000 };

/* Why an event was not published, or may not have been. status: of the answer, 0 without one; code:
 * what the worker calls it. */
export class PublishError extends Error {
  constructor(status, code, message) {
    super(message);
    this.name = "PublishError";
    this.status = status;
    this.code = code;
  }
}

/* An event with an id is published once, however often it is sent. */
function withId(event) {
  const words = () => Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(36));
  return event.id === undefined ? { ...event, id: `js-${words().join("-")}` } : event;
}

/* One attempt. The error says whether another one makes sense (again), and for how long the server
 * asks to wait. */
async function attempt(url, request, timeout) {
  let response, reply;
  try {
    response = await fetch(url, { ...request, signal: AbortSignal.timeout(timeout) });
    reply = await response.json();
  } catch (error) {
    throw failure(response, "no_reply", `no reply that can be read: ${error.message}`);
  }
  if (response.ok && reply?.ok === true)
    return reply;
  if (!response.ok && typeof reply?.error === "string")
    throw failure(response, reply.error, reply.message);
  throw failure(response, "no_reply", "the answer is not a worker's");
}

function failure(response, code, message) {
  const status = response?.status ?? 0;
  return Object.assign(new PublishError(status, code, message),
                       { again: !isRefusal(status), wait: response ? waitOf(response) : 0 });
}

/* Throws a TypeError when no header can have this token. */
function requestFor(events, { token, withCredentials }) {
  const body = JSON.stringify(Array.isArray(events)
                              ? { events: events.map(withId) } : withId(events));
  const headers = new Headers({ "Content-Type": "application/json",
                                ...(token ? { Authorization: `Bearer ${token}` } : {}) });
  return { method: "POST", body, headers, cache: "no-store",
           credentials: withCredentials ? "include" : "same-origin" };
}

/* Publish an event, or a list of them (all or none), at url, the streams' address with /publish
 * behind it. Without an answer, or while it cannot be done, it is sent again. The reply is the
 * worker's; what fails for good throws a PublishError, and a url or token that cannot be sent a
 * TypeError. options: see ssecast.d.ts. */
export async function publish(url, events, options = {}) {
  const all = withDefaults(PUBLISH_DEFAULTS, options);
  const address = absolute(url), request = requestFor(events, all);
  for (let tried = 1; ; tried++) {
    let wait;
    try {
      return await attempt(address, request, all.timeout);
    } catch (error) {
      if (!error.again || tried >= all.tries)
        throw error;
      wait = Math.min(error.wait, all.longestPause);
    }
    const pause = Math.max(wait, pauseOf(all, tried - 1));
    await new Promise((done) => setTimeout(done, pause));
  }
}
