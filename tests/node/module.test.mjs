// client/js/ssecast.js step by step: with an EventSource, locks and a clock that the tests control.
import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { EventStream, publish } from "../../client/js/ssecast.js";

const HEARTBEAT = 1000;
const FIRST = { connection: "c-1", heartbeat: HEARTBEAT, owner: "anna's" };

const STREAM = { ok: true, status: 200,
                 headers: new Headers({ "Content-Type": "text/event-stream" }),
                 json: async () => ({}) };

const sources = [];
const { BroadcastChannel } = globalThis;
let now, answer, streams, page;

/* What EventSource dispatches itself is an Event; what was published is a MessageEvent. */
class FakeEventSource extends EventTarget {
  static CONNECTING = 0;
  static OPEN = 1;
  static CLOSED = 2;

  constructor(url) {
    super();
    this.url = new URL(url);
    this.readyState = FakeEventSource.CONNECTING;
    for (const name of ["open", "error"])
      this.addEventListener(name, (event) => this[`on${name}`](event));
    sources.push(this);
  }

  close() { this.readyState = FakeEventSource.CLOSED; }

  accept() {
    this.readyState = FakeEventSource.OPEN;
    this.dispatchEvent(new Event("open"));
  }

  open(first = FIRST, id = "1") {
    this.accept();
    this.send("ssecast.checkpoint", JSON.stringify(first), id);
  }

  send(type, data, lastEventId) {
    if (this.readyState !== FakeEventSource.CLOSED)
      this.dispatchEvent(new MessageEvent(type, { data, lastEventId }));
  }

  lose(readyState = FakeEventSource.CONNECTING) {
    this.readyState = readyState;
    this.dispatchEvent(new Event("error"));
  }
}

/* Time passes in small steps, in which promises are kept too. */
async function pass(ms) {
  for (let gone = 0; gone < ms; gone += 50) {
    now += 50;
    mock.timers.tick(50);
    await settle();
  }
}

async function settle() {
  for (let turn = 0; turn < 10; turn++)
    await Promise.resolve();
}

function refusal(status, body = {}, headers = {}) {
  return { ok: false, status, headers: new Headers(headers), json: async () => body };
}

function listen(names, options = {}) {
  const stream = new EventStream("https://example.org/sse", { firstPause: 100, ...options });
  const events = [], told = [];
  for (const name of names)
    stream.on(name, (event) => events.push([event.type, event.data, event.lastEventId]));
  for (const what of ["online", "offline", "gap", "shutdown", "expired", "stopped"])
    stream.addEventListener(what, ({ detail }) => told.push([what, detail]));
  streams.push(stream);
  return { stream, events, told };
}

async function opened(names = ["message"], options = {}, first = FIRST) {
  const all = listen(names, options);
  await settle();
  sources.at(-1).open(first);
  return all;
}

beforeEach(() => {
  page = new EventTarget();
  mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  now = 0;
  mock.method(performance, "now", () => now);
  answer = STREAM;
  Object.assign(globalThis, {
    EventSource: FakeEventSource,
    fetch: async () => answer,
    addEventListener: page.addEventListener.bind(page),
    removeEventListener: page.removeEventListener.bind(page),
    location: { href: "https://example.org/" },
    isSecureContext: true,
  });
  sources.length = 0;
  streams = [];
});

afterEach(() => {
  streams.forEach((stream) => stream.close());
  mock.timers.reset();
  mock.restoreAll();
  delete globalThis.navigator;
  globalThis.BroadcastChannel = BroadcastChannel;
});

// Names that EventSource uses itself

for (const name of ["open", "error", "message", "online", "offline", "gap", "shutdown", "expired",
                    "stopped"])
  test(`a published event named ${name} is an event and nothing else`, async () => {
    const { stream, events, told } = await opened([name]);
    sources[0].send(name, "published", "7");
    assert.deepEqual(events, [[name, "published", "7"]]);
    assert.deepEqual(told, [["online", {}]]);
    assert.equal(stream.state, "online");
  });

for (const name of ["open", "error"])
  test(`a published event named ${name} that nobody waits for changes nothing`, async () => {
    const { stream, told } = await opened();
    sources[0].send(name, "published", "7");
    assert.deepEqual(told, [["online", {}]]);
    assert.equal(stream.state, "online");
  });

test("a lost connection is no published error, and the cursor stays", async () => {
  const { stream, events, told } = await opened(["error", "open", "m"]);
  sources[0].send("m", "x", "7");
  sources[0].lose(FakeEventSource.CLOSED);
  await pass(500);
  assert.deepEqual(events, [["m", "x", "7"]]);
  assert.equal(stream.lastEventId, "7");
  assert.equal(told.at(-1)[0], "offline");
  assert.equal(sources.at(-1).url.searchParams.get("lastEventId"), "7");
});

test("an event without an id leaves the cursor where it is", async () => {
  const { stream, events } = await opened(["m"], { lastEventId: "5" }, {});
  sources[0].send("m", "x", "");
  assert.deepEqual(events, [["m", "x", "1"]]);
  assert.equal(stream.lastEventId, "1");
});

// Heartbeats

test("a silent stream is lost, and opened again after the last event", async () => {
  const { stream, events, told } = await opened(["m"]);
  sources[0].send("m", "x", "7");
  await pass(4 * HEARTBEAT);
  assert.equal(sources[0].readyState, FakeEventSource.CLOSED);
  assert.equal(sources.length, 2);
  assert.equal(sources[1].url.searchParams.get("lastEventId"), "7");
  sources[1].open({ ...FIRST, connection: "c-2" }, "7");
  sources[0].send("m", "too late", "8");
  assert.deepEqual(events, [["m", "x", "7"]]);
  assert.deepEqual(told.map(([what]) => what), ["online", "offline", "online"]);
  assert.ok(told[1][1].retryIn > 0);
  assert.equal(stream.connection, "c-2");
});

for (const name of ["ssecast.checkpoint", "m"])
  test(`a stream with a ${name} per heartbeat is not silent`, async () => {
    const { told } = await opened(["m"]);
    for (let beat = 0; beat < 10; beat++) {
      await pass(HEARTBEAT);
      sources[0].send(name, name === "m" ? "x" : "{}", String(beat));
    }
    assert.equal(sources.length, 1);
    assert.deepEqual(told, [["online", {}]]);
  });

test("other tabs are told of a checkpoint when the cursor moves, and not of each heartbeat",
    async () => {
  const posted = [];
  mock.method(BroadcastChannel.prototype, "postMessage", (message) => posted.push(message));
  withLocks(async (name, options, granted) => granted());
  const { stream } = listen(["m"], { shared: "anna" });
  await pass(100);
  sources[0].open();
  for (const [data, id] of [["{}", "1"], ["{}", ""], ["{}", "2"], ["{}", "2"]])
    sources[0].send("ssecast.checkpoint", data, id);
  assert.deepEqual(posted.filter(({ kind }) => kind === "entry").map(({ entry }) => entry.id),
                   ["1", "2"]);
  assert.equal(stream.lastEventId, "2");
});

test("a page that was busy itself does not give its stream up", async () => {
  const { told } = await opened(["m"]);
  now += 60 * HEARTBEAT;
  mock.timers.tick(HEARTBEAT / 2);
  sources[0].send("ssecast.checkpoint", "{}", "2");
  await pass(HEARTBEAT);
  assert.equal(sources.length, 1);
  assert.deepEqual(told, [["online", {}]]);
});

test("a silent answer to the second attempt is lost too", async () => {
  const { told } = await opened();
  await pass(4 * HEARTBEAT);
  assert.equal(sources.length, 2);
  await pass(4 * HEARTBEAT);
  assert.ok(sources.length >= 3);
  assert.deepEqual(told.map(([what]) => what).slice(0, 3), ["online", "offline", "offline"]);
});

test("an event that takes long to arrive arrives", async () => {
  const { events } = await opened(["m"]);
  let at = sources.length, size = 6 * HEARTBEAT, gone = 0;
  for (let ms = 0; ms < 60 * HEARTBEAT && !events.length; ms += 50, gone += 50) {
    await pass(50);
    if (sources.length > at) { // the next attempt: the same event again, from its first byte on
      at = sources.length;
      gone = 0;
      sources.at(-1).open({ ...FIRST, connection: `c-${at}` }, "1");
    }
    if (gone >= size)
      sources.at(-1).send("m", "large", "2");
  }
  assert.deepEqual(events, [["m", "large", "2"]]);
});

test("a large state behind a gap arrives", async () => {
  const { events, told } = await opened(["m"]);
  let at = sources.length, gone = 0;
  for (let ms = 0; ms < 60 * HEARTBEAT
         && told.filter(([what]) => what === "online").length < 2; ms += 50, gone += 50) {
    await pass(50);
    if (sources.length > at) {
      at = sources.length;
      gone = 0;
      sources.at(-1).accept();
      sources.at(-1).send("ssecast.gap", `{"last":1,"oldest":5}`, "1");
      sources.at(-1).send("m", "small", "1");
    }
    if (sources.length > 1 && gone === 6 * HEARTBEAT) {
      sources.at(-1).send("m", "large", "1");
      sources.at(-1).send("ssecast.checkpoint", JSON.stringify({ ...FIRST, connection: `c-${at}` }),
                          "9");
    }
  }
  assert.deepEqual(events.at(-1), ["m", "large", "1"]);
  assert.deepEqual(told.at(-1), ["online", {}]);
});

test("what has arrived makes silence as short as it was", async () => {
  await opened(["m"]);
  for (let death = 1; death <= 4; death++) {
    await pass(3 * HEARTBEAT + 200);
    assert.equal(sources.length, death + 1);
    sources.at(-1).open({ ...FIRST, connection: `c-${death}` }, "1");
    sources.at(-1).send("ssecast.checkpoint", "{}", "");
  }
});

test("without a known heartbeat silence means nothing", async () => {
  await opened(["m"], {}, {});
  await pass(3600 * HEARTBEAT / 10);
  assert.equal(sources.length, 1);
});

test("the browser's own reconnects are left alone, however long they take", async () => {
  await opened();
  sources[0].lose();
  await pass(20 * HEARTBEAT);
  assert.equal(sources.length, 1);
  assert.equal(sources[0].readyState, FakeEventSource.CONNECTING);
});

test("a probe without an answer ends", async () => {
  let aborted = false;
  globalThis.fetch = (_, { signal }) => new Promise((_, reject) =>
    signal.addEventListener("abort", () => reject(aborted = true)));
  const { told } = await opened();
  sources[0].lose(FakeEventSource.CLOSED);
  await pass(12000);
  assert.ok(aborted);
  assert.ok(told.filter(([what]) => what === "offline").length >= 2);
});

// An answer without a place in the sequence: the worker is full or stops, or has no broker yet

test("a stream that ends before its first checkpoint was not online", async () => {
  const { stream, told } = listen(["m"]);
  await settle();
  for (let attempt = 0; attempt < 3; attempt++) {
    sources[0].accept();
    assert.equal(stream.state, attempt ? "offline" : "connecting");
    sources[0].lose();
  }
  sources[0].accept();
  sources[0].send("ssecast.checkpoint", "{}", ""); // a heartbeat, without a position yet
  assert.deepEqual(told, Array(3).fill(["offline", { retryIn: null }]));
  sources[0].open();
  assert.deepEqual(told.at(-1), ["online", {}]);
  assert.equal(stream.state, "online");
});

test("online is told once for a stream, when its id and cursor are known", async () => {
  const { stream, told } = listen(["m"]);
  const known = [];
  stream.addEventListener("online", () => known.push([stream.connection, stream.lastEventId]));
  await settle();
  sources[0].open();
  sources[0].send("ssecast.checkpoint", "{}", "2");
  assert.deepEqual(told, [["online", {}]]);
  assert.deepEqual(known, [["c-1", "1"]]);
});

test("a worker that stops does not make a page forget why it was shut down", async () => {
  const { told } = await opened();
  sources[0].send("ssecast.shutdown", `{"reason":"logout"}`, "2");
  sources[0].lose();
  sources[0].accept();
  answer = refusal(204);
  sources[0].lose(FakeEventSource.CLOSED);
  await pass(500);
  assert.deepEqual(told.at(-1), ["stopped", { status: 204, reason: "logout" }]);
});

// A shutdown

test("a stream that was shut down and meets a 503 on its way back goes on", async () => {
  const { stream, told } = await opened();
  sources[0].send("ssecast.shutdown", `{"reason":"upgrade"}`, "2");
  answer = refusal(503);
  sources[0].lose(FakeEventSource.CLOSED);
  await pass(2000);
  assert.equal(stream.state, "offline");
  answer = STREAM;
  await pass(30000);
  sources.at(-1).open();
  assert.equal(stream.state, "online");
  assert.deepEqual(told.filter(([what]) => what !== "offline"),
                   [["online", {}], ["shutdown", { reason: "upgrade" }], ["online", {}]]);
});

test("one that is refused again and again does not ask without pauses", async () => {
  const asked = server({});
  const { told } = await opened();
  sources[0].send("ssecast.shutdown", `{"reason":"upgrade"}`, "2");
  for (let ms = 0; ms < 30 * 1000; ms += 50) {
    if (sources.at(-1).readyState !== FakeEventSource.CLOSED)
      // a stream gets 503, although the answer to HEAD is 200
      sources.at(-1).lose(FakeEventSource.CLOSED);
    await pass(50);
  }
  assert.ok(asked.length < 20, asked.length);
  assert.ok(told.at(-1)[1].retryIn > 1000);
});

test("one that is to stay away learns so behind a 503 too, and says why", async () => {
  const { told } = await opened();
  sources[0].send("ssecast.shutdown", `{"reason":"logout"}`, "2");
  answer = refusal(503);
  sources[0].lose(FakeEventSource.CLOSED);
  await pass(2000);
  answer = { ...refusal(204), json: async () => { throw new SyntaxError(); } };
  await pass(30000);
  assert.equal(sources.length, 1);
  assert.deepEqual(told.at(-1), ["stopped", { status: 204, reason: "logout" }]);
});

test("one that is refused afterwards gives the refusal", async () => {
  const { told } = await opened();
  sources[0].send("ssecast.shutdown", `{"reason":"logout"}`, "2");
  answer = refusal(401, { message: "token required" });
  sources[0].lose(FakeEventSource.CLOSED);
  await pass(500);
  assert.deepEqual(told.slice(1), [["shutdown", { reason: "logout" }],
                                   ["stopped", { status: 401, reason: "token required" }]]);
});

// What the module asks before it opens a stream again

/* A server: what it answers to each method. asked: what it was asked. */
function server(answers) {
  const asked = [];
  globalThis.fetch = async (url, { method = "GET" }) => {
    asked.push(method);
    return answers[method] ?? answer;
  };
  return asked;
}

test("a question opens no stream", async () => {
  const asked = server({});
  await opened();
  sources[0].lose(FakeEventSource.CLOSED);
  await pass(500);
  assert.deepEqual(asked, ["HEAD"]);
  assert.equal(sources.length, 2);
});

for (const status of [405, 501])
  test(`where a web server answers HEAD with ${status}, GET counts`, async () => {
    const asked = server({ HEAD: refusal(status) });
    const { stream } = await opened();
    sources[0].lose(FakeEventSource.CLOSED);
    await pass(500);
    sources[1].open();
    assert.deepEqual(asked, ["HEAD", "GET"]);
    assert.equal(stream.state, "online");
  });

for (const type of ["text/html", "application/json", ""])
  test(`where a web server answers HEAD with ${type || "no type"}, GET counts`, async () => {
    const asked =
      server({ HEAD: { ...STREAM, headers: new Headers(type ? { "Content-Type": type } : {}) } });
    const { stream } = await opened();
    sources[0].lose(FakeEventSource.CLOSED);
    await pass(500);
    assert.deepEqual(asked, ["HEAD", "GET"]);
    sources[1].open();
    assert.equal(stream.state, "online");
  });

test("a refusal's reason is in the answer to GET", async () => {
  const asked = server({ HEAD: { ...refusal(403), json: async () => { throw new SyntaxError(); } },
                         GET: refusal(403, { message: "no such channel" }) });
  const { told } = await opened();
  sources[0].lose(FakeEventSource.CLOSED);
  await pass(500);
  assert.deepEqual(asked, ["HEAD", "GET"]);
  assert.deepEqual(told.at(-1), ["stopped", { status: 403, reason: "no such channel" }]);
});

// Retry-After

const MINUTE = 60000, HOUR = 60 * MINUTE, LONGEST = 30000;

async function pauseAfter(wait) {
  const { told, stream } = await opened();
  answer = refusal(503, {}, wait === null ? {} : { "Retry-After": wait });
  sources.at(-1).lose(FakeEventSource.CLOSED);
  await pass(300);
  stream.close();
  return told.filter(([what]) => what === "offline").at(-1)[1].retryIn;
}

for (const [wait, least] of [["2", 2000], ["120", 2 * MINUTE], ["3600", HOUR],
                             ["99999999999", HOUR], ["-5", 0], ["soon", 0], ["", 0], [null, 0]])
  test(`after a 503 with Retry-After: ${wait} the next attempt comes after ${least} ms`,
      async () => {
    const pause = await pauseAfter(wait);
    assert.ok(pause >= least, pause);
    assert.ok(pause <= (least ? least + Math.min(least, LONGEST) : 200), pause);
  });

test("Retry-After may be a date", async () => {
  const pause = await pauseAfter(new Date(Date.now() + 2 * MINUTE).toUTCString());
  assert.ok(pause > 2 * MINUTE - 10000 && pause <= 2 * MINUTE + LONGEST, pause);
});

test("a network that comes back does not make the wait shorter", async () => {
  await opened();
  const asked = server({});
  answer = refusal(503, {}, { "Retry-After": "120" });
  sources[0].lose(FakeEventSource.CLOSED);
  await pass(300);
  for (let gone = 300; gone + 10000 < 2 * MINUTE; gone += 10000) {
    page.dispatchEvent(new Event("online"));
    await pass(10000);
  }
  assert.equal(asked.length, 1);
  await pass(LONGEST + 11000);
  assert.equal(asked.length, 2);
});

test("without such a wait it makes the pause shorter", async () => {
  await opened(["m"], { firstPause: 1000, longestPause: LONGEST });
  const asked = server({});
  answer = refusal(503);
  sources[0].lose(FakeEventSource.CLOSED);
  await pass(30 * 1000);
  const before = asked.length;
  page.dispatchEvent(new Event("online"));
  await pass(1100);
  assert.equal(asked.length, before + 1);
});

test("pages that were told the same time do not come back together", async () => {
  assert.ok(
    new Set([await pauseAfter("120"), await pauseAfter("120"), await pauseAfter("120")]).size > 1);
});

// Publishing

async function published(answers, options = {}) {
  const sent = [];
  let result = null;
  globalThis.fetch = async (url, { body }) => {
    sent.push([now, JSON.parse(body).id]);
    return answers[Math.min(sent.length, answers.length) - 1];
  };
  publish(options.url ?? "https://example.org/sse/publish", { data: 1 },
          { firstPause: 100, longestPause: 5000, ...options })
    .then((reply) => { result = reply; }, (error) => { result = error; });
  await pass(20000);
  return { sent, result };
}

const HTML = async () => { throw new SyntaxError("Unexpected token '<'"); };
const DONE = { ok: true, status: 200, headers: new Headers(),
               json: async () => ({ ok: true, seq: 7 }) };

for (const status of [408, 425, 429, 502, 503])
  for (const json of [HTML, async () => ({ error: "busy", message: "later" })])
    test(`an event that was answered ${status} ${
      json === HTML ? "with a page" : "with a reason"} is sent again`, async () => {
      const { sent, result } = await published([{ ...refusal(status), json }, DONE]);
      assert.equal(result.seq, 7);
      assert.equal(sent.length, 2);
      assert.equal(sent[0][1], sent[1][1]);
    });

for (const reply of [null, "ok", 7, [], {}, { message: "Forbidden" }])
  for (const status of [200, 403, 502])
    test(`${JSON.stringify(reply)} with ${status} is not the worker's reply`, async () => {
      const answered = { ...refusal(status), ok: status === 200, json: async () => reply };
      const { sent, result } = await published([answered], { tries: 2 });
      assert.deepEqual([result.name, result.status, result.code],
                       ["PublishError", status, "no_reply"]);
      assert.equal(sent.length, status === 403 ? 1 : 2);
    });

for (const json of [HTML, async () => ({ error: "bad_request", message: "no" })])
  test("what was refused is not sent again", async () => {
    const { sent, result } = await published([{ ...refusal(400), json }, DONE]);
    assert.equal(result.status, 400);
    assert.equal(sent.length, 1);
  });

for (const [what, options] of [["an address", { url: "https://" }],
                               ["a token", { token: "päss\nwörd" }],
                               ["a token", { token: "\u20ac" }]])
  test(`${what} that cannot be sent is an error at once`, async () => {
    const { sent, result } = await published([DONE], options);
    assert.ok(result instanceof TypeError, result);
    assert.equal(sent.length, 0);
  });

test("a program has no address of its own to add to a part of one", async () => {
  delete globalThis.location;
  const { sent, result } = await published([DONE], { url: "/sse/publish" });
  assert.ok(result instanceof TypeError, result);
  assert.equal(sent.length, 0);
});

test("an event waits for as long as it is told, and no longer than its longest pause", async () => {
  const { sent } = await published(
    [refusal(429, {}, { "Retry-After": "2" }), refusal(429, {}, { "Retry-After": "3600" }), DONE]);
  assert.ok(sent[1][0] - sent[0][0] >= 2000);
  assert.ok(sent[2][0] - sent[1][0] >= 2500 && sent[2][0] - sent[1][0] <= 5100);
});

// Options

test("an option that is undefined has its default", async () => {
  const { stream } = await opened(["message"], {
    shared: undefined, channels: undefined, lastEventId: undefined, from: undefined,
    last: undefined, since: undefined, firstPause: undefined, longestPause: undefined });
  assert.deepEqual([...sources[0].url.searchParams.keys()], ["checkpoints"]);
  assert.equal(stream.lastEventId, "1");
  answer = refusal(503);
  sources[0].lose(FakeEventSource.CLOSED);
  await pass(300);
  assert.equal(stream.state, "offline");
});

test("a cursor may be the number that a reply has, or null", async () => {
  const { stream } = listen([], { lastEventId: 1763710000000042 });
  assert.equal(stream.lastEventId, "1763710000000042");
  assert.equal(listen([], { lastEventId: null }).stream.lastEventId, "");
});

test("a closed stream has no timers left", async () => {
  const { stream, told } = await opened();
  stream.close();
  await pass(10 * HEARTBEAT);
  assert.equal(sources.length, 1);
  assert.deepEqual(told, [["online", {}]]);
});

/* The listeners that the page has for a stream. */
function countListeners() {
  const all = new Set();
  globalThis.addEventListener = (name, listener) => all.add(listener);
  globalThis.removeEventListener = (name, listener) => all.delete(listener);
  return all;
}

test("a stream that has stopped is not held by the page", async () => {
  const listeners = countListeners();
  await opened();
  answer = refusal(401);
  sources[0].lose(FakeEventSource.CLOSED);
  await pass(500);
  assert.equal(streams[0].state, "stopped");
  assert.equal(listeners.size, 0);
});

test("a page that was left and kept while its stream was stopped opens nothing on the way back",
    async () => {
  await opened();
  answer = refusal(401);
  sources[0].lose(FakeEventSource.CLOSED);
  await pass(500);
  page.dispatchEvent(new Event("pagehide"));
  page.dispatchEvent(new Event("pageshow"));
  await pass(500);
  assert.equal(sources.length, 1);
});

test("a page that closes and opens its stream when it hears of the end has it", async () => {
  const { stream, told } = await opened();
  stream.addEventListener("expired", () => {
    stream.close();
    stream.open("https://example.org/sse?token=fresh");
  });
  sources[0].send("ssecast.expired", `{"reason":"expired"}`, "1");
  await settle();
  assert.equal(sources.length, 2);
  sources[1].open({ ...FIRST, connection: "c-2" });
  assert.equal(stream.state, "online");
  assert.deepEqual(told.map(([what]) => what), ["online", "expired", "online"]);
});

// Whose stream it is

test("the connection's id is known while the stream is open", async () => {
  const { stream } = await opened();
  assert.equal(stream.connection, "c-1");
  sources[0].lose();
  assert.equal(stream.connection, null);
  sources[0].open({ ...FIRST, connection: "c-2" });
  assert.equal(stream.connection, "c-2");
  stream.close();
  assert.equal(stream.connection, null);
});

test("a stream that comes back as another session's is stopped before its first event",
    async () => {
  const { stream, events, told } = await opened(["m"]);
  sources[0].lose();
  sources[0].open({ ...FIRST, owner: "bert's" }, "9");
  sources[0].send("m", "for bert", "10");
  assert.deepEqual(events, []);
  assert.equal(stream.state, "stopped");
  assert.equal(stream.lastEventId, "1");
  assert.equal(told.at(-1)[1].status, 0);
  assert.match(told.at(-1)[1].reason, /another session/);
});

test("nor does a page get it by opening the stream again", async () => {
  const { stream, events } = await opened(["m"]);
  sources[0].lose();
  sources[0].open({ ...FIRST, owner: "bert's" }, "9");
  stream.open();
  await settle();
  sources[1].open({ ...FIRST, owner: "bert's" }, "9");
  sources[1].send("m", "for bert", "10");
  assert.deepEqual(events, []);
  assert.equal(stream.state, "stopped");
  stream.open();
  await settle();
  sources[2].open(FIRST, "9");
  sources[2].send("m", "for anna", "11");
  assert.deepEqual(events, [["m", "for anna", "11"]]);
});

for (const shared of [true, "", 7, {}])
  test(`shared: ${JSON.stringify(shared)} is refused`, () => {
    assert.throws(() => new EventStream("https://example.org/sse", { shared }), /name of the user/);
  });

// Locks that a browser refuses

function withLocks(request) {
  Object.defineProperty(globalThis, "navigator",
                        { value: { locks: { request } }, configurable: true });
}

for (const [how, refuse] of [["rejects",
                              async () => { throw new DOMException("refused", "SecurityError"); }],
                             ["aborts",
                              async () => { throw new DOMException("refused", "AbortError"); }],
                             ["throws",
                              () => { throw new DOMException("refused", "SecurityError"); }]])
  test(`a browser that ${how} when asked for a lock is asked once, and the tab has its own stream`,
      async () => {
    let asked = 0;
    withLocks((...given) => {
      asked++;
      return refuse(...given);
    });
    const { events } = await opened(["m"], { shared: "anna" });
    sources[0].send("m", "x", "7");
    await pass(5 * HEARTBEAT);
    assert.deepEqual(events, [["m", "x", "7"]]);
    assert.equal(asked, 1);
  });

test("so it does in a browser that refuses channels, and in a frame without an origin",
    async () => {
  withLocks(() => assert.fail("asked for a lock"));
  mock.method(globalThis, "BroadcastChannel",
              function refuse() { throw new DOMException("refused", "SecurityError"); });
  const { stream } = await opened(["m"], { shared: "anna" });
  assert.equal(stream.state, "online");
  globalThis.origin = "null";
  assert.equal((await opened(["m"], { shared: "anna" })).stream.state, "online");
  delete globalThis.origin;
});

test("the user's name is part of the lock's name", async () => {
  const names = new Set();
  withLocks(async (name) => { names.add(name); return new Promise(() => {}); });
  for (const shared of ["anna", "bert", 'anna",false', "anna"])
    listen(["m"], { shared });
  await settle();
  assert.equal(names.size, 3);
});

// Tabs that share a stream

/* The locks of one browser: the first tab that asks has the lock until it gives it back, or another
 * takes it. */
function oneBrowser() {
  const locks = new Map();
  const grant = async (name) => {
    const lock = locks.get(name), next = lock.waiting.shift();
    lock.holder = next ?? null;
    if (!next)
      return;
    await next.held().catch(() => {});
    next.done();
    if (lock.holder === next)
      grant(name);
  };
  const request = (name, { signal, steal }, held) => new Promise((done, failed) => {
    const lock = locks.get(name) ?? { holder: null, waiting: [] };
    locks.set(name, lock);
    const asked = { held, done, failed };
    signal?.addEventListener("abort", () => {
      lock.waiting = lock.waiting.filter((one) => one !== asked);
      failed(new DOMException("given up", "AbortError"));
    });
    if (steal) {
      lock.holder?.failed(new DOMException("stolen", "AbortError"));
      lock.holder = null;
      lock.waiting.unshift(asked);
    } else {
      lock.waiting.push(asked);
    }
    if (!lock.holder)
      grant(name);
  });
  withLocks(request);

  const channels = new Set();
  globalThis.BroadcastChannel = class {
    constructor(name) {
      this.name = name;
      channels.add(this);
    }

    postMessage(data) {
      for (const one of channels)
        if (one !== this && one.name === this.name)
          queueMicrotask(() => channels.has(one) && one.onmessage({ data: structuredClone(data) }));
    }

    close() { channels.delete(this); }
  };
  return channels;
}

const SHARED = { shared: "anna" };

async function share(names, options = {}) {
  const all = listen(names, { ...SHARED, ...options });
  await pass(100);
  return all;
}

test("a tab that is closed while it takes the lock gives it back", async () => {
  oneBrowser();
  const asked = [];
  withLocks((name, { steal }, held) => new Promise((done) => asked.push({ steal, held, done })));
  const { stream } = await share(["a"]);
  await pass(10000); // nobody says a word
  assert.equal(asked.at(-1).steal, true);
  stream.close();
  let returned = false;
  asked.at(-1).held().then(() => { returned = true; });
  await pass(100);
  assert.ok(returned);
  assert.equal(sources.length, 0);
});

test("a tab that begins after an event which no tab listened for asks the server", async () => {
  oneBrowser();
  await share(["a"]);
  sources[0].open();
  sources[0].send("a", "x", "5");
  sources[0].send("b", "nobody listens", "6");
  const late = await share(["b"], { lastEventId: "5" });
  assert.equal(sources.length, 2);
  assert.equal(sources[1].url.searchParams.get("lastEventId"), "5");
  sources[1].open(FIRST, "5");
  sources[1].send("b", "nobody listens", "6");
  assert.deepEqual(late.events, [["b", "nobody listens", "6"]]);
});

test("so does one whose names another tab has brought since then", async () => {
  oneBrowser();
  await share(["a"]);
  sources[0].open();
  sources[0].send("a", "x", "5");
  sources[0].send("b", "nobody listens", "6");
  await share(["b"]);
  sources[0].send("a", "y", "7");
  await share(["b"], { lastEventId: "5" });
  assert.equal(sources.length, 2);
  assert.deepEqual((await share(["b"], { lastEventId: "7" })).events, []);
  assert.equal(sources.length, 2);
});

test("one whose names were listened for is told what it missed", async () => {
  oneBrowser();
  await share(["a", "b"]);
  sources[0].open();
  sources[0].send("a", "x", "5");
  sources[0].send("b", "y", "6");
  const late = await share(["b"], { lastEventId: "5" });
  assert.deepEqual(late.events, [["b", "y", "6"]]);
  assert.equal(sources.length, 1);
});

test("tabs with different names share on when another one leads", async () => {
  oneBrowser();
  const first = await share(["a"]);
  sources[0].open();
  const [second, third] = [await share(["b"]), await share(["c"])];
  sources[0].send("b", "x", "5");
  first.stream.close();
  await pass(200);
  assert.equal(sources.length, 2);
  assert.equal(sources[1].url.searchParams.get("lastEventId"), "5");
  sources[1].open(FIRST, "5");
  sources[1].send("c", "y", "6");
  await settle();
  assert.deepEqual(second.events, [["b", "x", "5"]]);
  assert.deepEqual(third.events, [["c", "y", "6"]]);
});

test("a tab that leads no more cannot bring back those that follow another", async () => {
  const channels = oneBrowser();
  await share(["a"]);
  sources[0].open();
  const second = await share(["a"], { leaderTimeout: 200 }), third = await share(["a"]);
  const [first, , follower] = channels, post = mock.method(follower, "postMessage");
  first.onmessage = () => {}; // suspended
  await pass(600);
  sources[1].open(FIRST, "1");
  const { n, from } = post.mock.calls.map((call) => call.arguments[0])
    .filter(({ kind }) => kind === "join").at(-1);
  follower.onmessage({ data: { kind: "welcome", from: "first", to: from, n, names: [], missed: [],
                               cursor: "1", state: ["online", {}], stream: null } });
  sources[1].send("a", "x", "5");
  await settle();
  assert.equal(sources.length, 2);
  for (const { events } of [second, third])
    assert.deepEqual(events, [["a", "x", "5"]]);
});

for (const [how, says, connections] of [["is told so", true, 1], ["is gone", false, 2]])
  test(`a tab that said it leads after its lock was taken, and ${how}, binds nobody`, async () => {
    const channels = oneBrowser();
    await share(["a"]);
    sources[0].open();
    const { events } = await share(["a"], { leaderTimeout: 200 });
    const [, follower] = channels;
    follower.onmessage({ data: { kind: "leading", from: "late" } });
    await settle();
    if (says)
      follower.onmessage({ data: { kind: "deposed", from: "late" } });
    for (let beat = 0; beat < 5; beat++) {
      sources[0].send("b", "a sign of life", "1");
      await pass(100);
    }
    assert.equal(sources.length, connections);
    if (connections > 1)
      sources[1].open(FIRST, "1");
    sources.at(-1).send("a", "x", "5");
    await settle();
    assert.deepEqual(events, [["a", "x", "5"]]);
  });

for (const ends of [false, true])
  test("a tab that begins before a gap hears of it from the server, "
       + `${ends ? "after" : "within"} the state that follows it`, async () => {
    oneBrowser();
    const { told } = await share(["a", "k"]);
    sources[0].open();
    sources[0].send("a", "x", "5");
    sources[0].send("ssecast.gap", "{}", "5");
    sources[0].send("k", "state", "5");
    if (ends)
      sources[0].send("ssecast.checkpoint", "{}", "9");
    await share(["a", "k"], { lastEventId: "5" });
    assert.deepEqual(told.map(([what]) => what), ["online", "gap"]);
    assert.equal(sources.length, 2);
    await share(["a", "k"], { lastEventId: "9" });
    assert.equal(sources.length, ends ? 2 : 3);
  });

test("a tab that is closed by one of the events that it missed gets no other", async () => {
  oneBrowser();
  await share(["a"]);
  sources[0].open();
  for (const id of ["5", "6", "7"])
    sources[0].send("a", id, id);
  const { stream, events } = listen(["a"], { ...SHARED, lastEventId: "5" });
  stream.on("a", () => stream.close());
  await pass(100);
  assert.deepEqual(events, [["a", "6", "6"]]);
  assert.equal(stream.lastEventId, "6");
  assert.equal(stream.state, "closed");
});

for (const query of ["last=10", "from=earliest", "since=1", "lastEventId=7"])
  test(`a tab whose address has ${query} asks the server for that`, async () => {
    oneBrowser();
    const inAddress = async () => {
      const stream = new EventStream(`https://example.org/sse?${query}`, SHARED);
      streams.push(stream);
      await pass(100);
    };
    await inAddress();
    sources[0].open();
    await inAddress();
    assert.equal(sources.length, 2);
    assert.equal(sources[1].url.searchParams.get(query.split("=")[0]), query.split("=")[1]);
  });
