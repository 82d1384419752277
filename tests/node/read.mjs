// Read streams until killed. A line of standard input begins with a reader's number: {"number":1,"reader":"eventsource","url":"...",
// "types":["message"]} starts one, {"number":1} ends it. Lines of output begin with that number too: "1 open" when the stream is (each
// time), and "1 [type, data, id]" for each event. A reader is the name of a package; those that come back are left to do so by themselves.
// Each has a thread of its own: globals of its own, and an end at any time.
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Worker, isMainThread, parentPort, workerData } from "node:worker_threads";

if (isMainThread) {
    const threads = new Map();
    for await (const line of createInterface({ input: process.stdin })) {
        const { number, ...what } = JSON.parse(line);
        await threads.get(number)?.terminate();
        if (!what.reader)
            continue;
        const thread = new Worker(fileURLToPath(import.meta.url), { workerData: what });
        thread.on("message", (text) => process.stdout.write(`${number} ${text}\n`));
        thread.on("error", (error) => process.stdout.write(`${number} failed: ${error}\n`));
        threads.set(number, thread);
    }
    process.exit();
}

const { reader, url, types: wanted } = workerData;
let last = ""; // where a package says only the event's own id

setInterval(() => {}, 1 << 30); // undici's EventSource, for one, does not keep Node running between two attempts

const open = () => parentPort.postMessage("open");

function say(type, data, id) {
    last = id || last;
    if (wanted.includes(type))
        parentPort.postMessage(JSON.stringify([type, data, last]));
}

// Packages with the interface of a browser's EventSource

function listen(EventSource) {
    const source = new EventSource(url);
    source.addEventListener("open", open);
    source.addEventListener("error", () => {}); // launchdarkly-eventsource throws without one
    for (const type of wanted)
        source.addEventListener(type, (e) => say(e.type, e.data, e.lastEventId));
}

const readers = {
    async "eventsource"() {
        listen((await import("eventsource")).EventSource);
    },

    async "undici"() {
        listen((await import("undici")).EventSource);
    },

    async "launchdarkly-eventsource"() {
        listen((await import("launchdarkly-eventsource")).default.EventSource);
    },

    async "event-source-polyfill"() {
        listen((await import("event-source-polyfill")).default.EventSourcePolyfill);
    },

    // Others

    async "@microsoft/fetch-event-source"() {
        const nothing = () => {};
        globalThis.window = globalThis; // it is for pages
        globalThis.document = { hidden: false, addEventListener: nothing, removeEventListener: nothing };
        const { fetchEventSource } = await import("@microsoft/fetch-event-source");
        class StayAway extends Error {}
        await fetchEventSource(url, {
            openWhenHidden: true,
            async onopen({ status }) {
                if (status === 204)
                    throw new StayAway();
                open();
            },
            onmessage({ event, data, id }) {
                if (data || id) // else a block of `retry:` alone
                    say(event || "message", data, id);
            },
            onclose() { throw new Error("come back"); }, // else it is done when a stream ends in order
            onerror(error) {
                if (error instanceof StayAway)
                    throw error;
            },
        }).catch((error) => {
            if (!(error instanceof StayAway))
                throw error;
        });
    },

    async "event-source-plus"() {
        const { EventSourcePlus } = await import("event-source-plus");
        const controller = new EventSourcePlus(url).listen({
            onMessage: ({ event, data, id }) => say(event ?? "message", data, id),
            onResponse({ response }) {
                if (response.status === 204)
                    controller.abort(); // else it comes back
                else
                    open();
            },
        });
    },

    async "eventsource-client"() {
        const { createEventSource } = await import("eventsource-client");
        createEventSource({
            url,
            onConnect: open,
            onMessage: ({ event, data, id }) => say(event ?? "message", data, id),
        });
    },

    // Comes back as eventsource does, with the last id, after 50 ms
    async "eventsource-parser"() {
        const { createParser } = await import("eventsource-parser");
        for (;;) {
            const parser = createParser({ onEvent: ({ event, data, id }) => say(event ?? "message", data, id) });
            try {
                const response = await fetch(url, { headers: last ? { "Last-Event-ID": last } : {} });
                if (response.status === 204)
                    return;
                open();
                for await (const piece of response.body.pipeThrough(new TextDecoderStream()))
                    parser.feed(piece);
            } catch {
                // cut
            }
            await pause(50);
        }
    },
};

await readers[reader]();
