// client/js/ssecast.js in many tabs that share a stream, each in a world of its own: tabs are
// opened, suspended, frozen and killed at random, connections are lost, tokens expire, the server
// forgets events or is full, and others are published meanwhile. In the end each tab that is left
// has each event of its names once, in order, from where it began; where some are missing it was
// told `gap`. SEED and RUNS choose the runs; a failure names its seed.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const SEED = Number(process.env.SEED ?? 1), RUNS = Number(process.env.RUNS ?? 100);
const HEARTBEAT = 1000, STEPS = 60, TABS = 6;
const NAMES = ["a", "b", "c"];
const GLOBALS = ["EventSource", "fetch", "setTimeout", "setInterval", "clearTimeout",
                 "clearInterval", "BroadcastChannel", "navigator", "addEventListener",
                 "removeEventListener", "performance", "crypto", "location", "globalThis"];

const source = readFileSync(new URL("../../client/js/ssecast.js", import.meta.url), "utf8")
  .replaceAll("export ", "");
const load = new Function(...GLOBALS, `${source}\nreturn EventStream;`);

async function settle() {
  for (let turn = 0; turn < 12; turn++)
    await Promise.resolve();
}

/* A browser and a server. Time is virtual: every callback is a task of a tab, at a time. */
class World {
  now = 0;
  head = 100;          // the id of the newest event
  published = [];      // { id, name }
  oldest = 0;          // the server has what follows this id
  down = false;        // the server
  full = false;        // the server, which then opens streams and ends them
  expired = false;     // the token in the browser's cookie
  tabs = [];
  tasks = [];
  sources = new Set(); // those that are not closed
  channels = new Set();
  lock = { holder: null, waiting: [] };
  #random;

  constructor(seed) {
    this.#random = seed;
    for (let i = 0; i < 5; i++)
      this.random();
  }

  random() {
    this.#random = (this.#random * 1103515245 + 12345) & 0x7fffffff;
    return this.#random / 0x7fffffff;
  }

  pick(list) { return list[Math.floor(this.random() * list.length)]; }

  later(tab, ms, run) {
    const task = { tab, at: this.now + ms, run, off: false };
    this.tasks.push(task);
    return task;
  }

  publish(name) { this.published.push({ id: ++this.head, name }); }

  grant() {
    const next = this.lock.holder ? null : this.lock.waiting.shift();
    if (!next)
      return;
    this.lock.holder = next;
    this.later(next.tab, this.random() * 10, async () => {
      if (this.lock.holder !== next)
        return;
      await next.held();
      next.done();
      this.free(next);
    });
  }

  free(holder) {
    if (this.lock.holder !== holder)
      return;
    this.lock.holder = null;
    this.grant();
  }

  /* The next task that a tab may run until then. */
  #next(until) {
    let first = null;
    this.tasks = this.tasks.filter((task) => !task.off && !task.tab.dead);
    for (const task of this.tasks)
      if (!task.tab.suspended && task.at <= until && (!first || task.at < first.at))
        first = task;
    return first;
  }

  async pass(ms) {
    for (const until = this.now + ms; ;) {
      for (const one of this.sources)
        await one.receive();
      const step = Math.min(this.now + 100, until), task = this.#next(step);
      if (!task && this.now >= until)
        return;
      this.now = Math.max(this.now, task ? task.at : step);
      if (task) {
        task.off = true;
        task.run();
        await settle();
      }
    }
  }

  kill(tab) {
    tab.dead = true;
    [...this.channels].filter((one) => one.tab === tab).forEach((one) => one.close());
    [...this.sources].filter((one) => one.tab === tab).forEach((one) => one.close());
    this.lock.waiting = this.lock.waiting.filter((one) => one.tab !== tab);
    if (this.lock.holder?.tab === tab)
      this.free(this.lock.holder);
  }
}

function sourcesOf(world, tab) {
  return class extends EventTarget {
    static CONNECTING = 0;
    static OPEN = 1;
    static CLOSED = 2;
    tab = tab;
    readyState = 0;
    #cursor = 0;  // the browser's own
    #place = 0;   // the last event that the server sent
    #attempt = 0;
    #signAt = 0;

    constructor(url) {
      super();
      this.url = new URL(url);
      for (const name of ["open", "error"])
        this.addEventListener(name, (event) => this[`on${name}`](event));
      world.sources.add(this);
      this.#connect(5 + world.random() * 60);
    }

    #connect(ms) {
      const attempt = ++this.#attempt;
      world.later(tab, ms, () => {
        if (this.readyState !== 0 || attempt !== this.#attempt)
          return;
        if (world.down)
          return this.lose();
        if (world.expired)
          return this.refuse();
        this.#place = Math.max(Number(this.url.searchParams.get("lastEventId")), this.#cursor)
          || world.head;
        this.readyState = 1;
        this.dispatchEvent(new Event("open"));
        if (world.full)
          return this.lose();
        this.#send("ssecast.checkpoint", { connection: "c", heartbeat: HEARTBEAT, owner: "o" });
        if (this.#place < world.oldest)
          this.#tellGap();
      });
    }

    /* The current state follows, without ids, and then a checkpoint: maybe later. */
    #tellGap() {
      this.#send("ssecast.gap", {});
      for (const name of NAMES)
        this.#send(name, { state: true });
      this.#place = world.head;
      this.#signAt = world.random() < 0.5 ? 0 : world.now;
    }

    #send(name, data) {
      this.#signAt = world.now;
      this.#cursor = this.#place;
      this.dispatchEvent(
        new MessageEvent(name, { data: JSON.stringify(data), lastEventId: String(this.#place) }));
    }

    async receive() {
      while (this.readyState === 1 && !tab.suspended && this.#place < world.head) {
        const event = world.published.find(({ id }) => id === this.#place + 1);
        this.#place++;
        this.#send(event.name, {});
        await settle();
      }
      if (this.readyState === 1 && !tab.suspended && world.now - this.#signAt >= HEARTBEAT)
        this.#send("ssecast.checkpoint", {});
    }

    lose() {
      this.readyState = 0;
      this.dispatchEvent(new Event("error"));
      this.#connect(200 + world.random() * 200);
    }

    refuse() {
      this.close();
      this.dispatchEvent(new Event("error"));
    }

    expire() {
      this.dispatchEvent(new MessageEvent(
        "ssecast.expired", { data: `{"reason":"expired"}`, lastEventId: String(this.#cursor) }));
    }

    close() {
      this.readyState = 2;
      world.sources.delete(this);
    }
  };
}

function channelsOf(world, tab) {
  return class {
    tab = tab;
    #last = new Map(); // when the last message arrives at each: they keep their order

    constructor() { world.channels.add(this); }

    postMessage(message) {
      const data = structuredClone(message);
      for (const one of world.channels) {
        if (one === this)
          continue;
        const at = Math.max(world.now + world.random() * 8, (this.#last.get(one) ?? 0) + 1e-6);
        this.#last.set(one, at);
        world.later(one.tab, at - world.now,
                    () => world.channels.has(one) && one.onmessage({ data }));
      }
    }

    close() { world.channels.delete(this); }
  };
}

function locksOf(world, tab) {
  return {
    request: (_, { signal, steal }, held) => new Promise((done, failed) => {
      const asked = { tab, held, done, failed }, { holder } = world.lock;
      signal?.addEventListener("abort", () => {
        world.lock.waiting = world.lock.waiting.filter((one) => one !== asked);
        failed(new DOMException("given up", "AbortError"));
      });
      if (steal && holder) {
        world.lock.holder = null;
        world.later(holder.tab, world.random() * 30,
                    () => holder.failed(new DOMException("stolen", "AbortError")));
      }
      world.lock.waiting[steal ? "unshift" : "push"](asked);
      world.grant();
    }),
  };
}

function timersOf(world, tab) {
  const cancel = (timer) => { if (timer) timer.off = true; };
  const every = (run, ms) => {
    const timer = { off: false };
    const again = () => world.later(tab, ms, () => {
      if (!timer.off)
        run();
      if (!timer.off)
        again();
    });
    again();
    return timer;
  };
  return { setTimeout: (run, ms) => world.later(tab, ms, run), setInterval: every,
           clearTimeout: cancel, clearInterval: cancel };
}

class Tab {
  suspended = false; // without a word
  frozen = false;
  dead = false;
  had = [];          // ids, and null for a gap
  begins = null;     // behind this id
  #document = Object.assign(new EventTarget(), { hidden: false, baseURI: "https://example.org/" });

  constructor(world, number, names, from) {
    const page = new EventTarget(), timers = timersOf(world, this),
      channel = channelsOf(world, this);
    const answer = { status: 200, headers: new Headers({ "Content-Type": "text/event-stream" }),
                     json: async () => ({}) };
    const refusal = { status: 401, headers: new Headers(),
                      json: async () => ({ message: "expired" }) };
    const navigator = { locks: locksOf(world, this) };
    const globals = {
      navigator,
      ...timers,
      EventSource: sourcesOf(world, this),
      BroadcastChannel: channel,
      fetch: async () => {
        if (world.down) throw new Error("down");
        return world.expired ? refusal : answer;
      },
      addEventListener: page.addEventListener.bind(page),
      removeEventListener: page.removeEventListener.bind(page),
      performance: { now: () => world.now },
      crypto: { randomUUID: () => `tab ${number} ${world.random()}` },
      location: { href: "https://example.org/" },
      globalThis: { navigator, BroadcastChannel: channel, isSecureContext: true,
                    document: this.#document },
    };
    const EventStream = load(...GLOBALS.map((name) => globals[name]));

    this.names = names;
    this.begins = from;
    this.stream = new EventStream("https://example.org/sse", {
      shared: "anna", leaderTimeout: 1000, firstPause: 100, longestPause: 400,
      lastEventId: from === null ? "" : String(from) });
    for (const name of names)
      this.stream.on(name, (event) => JSON.parse(event.data).state
                       || this.had.push(Number(event.lastEventId)));
    this.stream.addEventListener("gap", () => this.had.push(null));
    this.stream.addEventListener("online", () => { this.begins ??= world.head; });
    this.stream.addEventListener("stopped", () => world.later(this, world.random() * 500, () => {
      world.expired = false;
      this.stream.open();
    }));
  }

  freeze(frozen) {
    this.frozen = frozen;
    this.#document.dispatchEvent(new Event(frozen ? "freeze" : "resume"));
  }
}

function openTab(world) {
  const names = NAMES.filter(() => world.random() < 0.5);
  const back = world.random() < 0.4
    ? Math.floor(world.random() * Math.min(6, world.head - 99)) : null;
  world.tabs.push(new Tab(world, world.tabs.length, names.length ? names : ["a"],
                          back === null ? null : world.head - back));
}

/* What may happen, each with how often it does. */
const HAPPENINGS = [
  [45, (world) => {
    for (let i = 0; i < 1 + world.random() * 3; i++) world.publish(world.pick(NAMES));
  }],
  [13, (world, tabs) => tabs.length < TABS && openTab(world)],
  [6, (world, tabs) => tabs.length > 1 && world.kill(world.pick(tabs))],
  [6, (world, tabs) => { const tab = world.pick(tabs); tab.suspended ||= !tab.frozen; }],
  [8, (_, tabs) => {
    const tab = tabs.find((one) => one.suspended);
    if (tab) tab.suspended = false;
  }],
  [5, (world) => {
    const one = world.pick([...world.sources]);
    if (one?.readyState === 1 && !one.tab.suspended) one.lose();
  }],
  [5, (world, tabs) => {
    const tab = world.pick(tabs);
    if (!tab.suspended) tab.freeze(!tab.frozen);
  }],
  [3, (world) => { world.oldest = world.head; }],
  [3, (world) => { world.full = !world.full; }],
  [3, (world) => {
    world.expired = true;
    [...world.sources].filter((one) => one.readyState === 1 && !one.tab.suspended)
      .forEach((one) => one.expire());
  }],
  [3, (world) => {
    world.down = !world.down;
    [...world.sources].filter((one) => world.down && one.readyState === 1 && !one.tab.suspended)
      .forEach((one) => one.lose());
  }],
];

async function happen(world) {
  let left = world.random() * HAPPENINGS.reduce((sum, [weight]) => sum + weight, 0);
  const [, run] = HAPPENINGS.find(([weight]) => (left -= weight) < 0) ?? HAPPENINGS[0];
  run(world, world.tabs.filter((tab) => !tab.dead));
  await settle();
}

/* The network and all tabs are well again, and each name has one more event. */
async function calm(world) {
  world.down = world.full = world.expired = false;
  for (const tab of world.tabs.filter((one) => !one.dead)) {
    tab.suspended = false;
    if (tab.frozen)
      tab.freeze(false);
  }
  await world.pass(8000);
  NAMES.forEach((name) => world.publish(name));
  await world.pass(6000);
}

/* What is missing in what a tab had, or came again. After a gap that may be anything up to the next
 * event that came. */
function missing(had, all) {
  const wrong = [];
  let next = 0, gap = false;

  for (const id of had) {
    const at = all.indexOf(id);
    if (id === null) {
      gap = true;
    } else if (at >= 0) {
      if (at < next || (at > next && !gap))
        wrong.push([id, all[next]]);
      next = at + 1;
      gap = false;
    }
  }
  return wrong.concat(gap ? [] : all.slice(next));
}

test("each tab has each event once, whatever happens to the others", async () => {
  for (let seed = SEED; seed < SEED + RUNS; seed++) {
    const world = new World(seed);
    openTab(world);
    for (let step = 0; step < STEPS; step++) {
      await happen(world);
      await world.pass(world.pick([1, 20, 60, 150, 400, 1500]));
    }
    await calm(world);
    for (const [number, { dead, begins, names, had, stream }] of world.tabs.entries()) {
      if (dead)
        continue;
      assert.notEqual(begins, null, `seed ${seed}: tab ${number} was never online`);
      const all = world.published.filter(({ id, name }) => id > begins && names.includes(name))
        .map(({ id }) => id);
      assert.deepEqual(missing(had, all), [], `seed ${seed}: tab ${number}`);
      stream.close();
    }
  }
});
