// Read streams until killed. A line of standard input begins with a reader's number:
// {"number":1,"reader":"eventsource","url":"...", "types":["message"]} starts one, {"number":1}
// ends it. Lines of output begin with that number too: "1 open" when the stream is (each time), and
// "1 [type, data, id]" for each event. A reader is the name of a package; those that come back are
// left to do so by themselves. Each package has a thread, with globals of its own.
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Worker, isMainThread, parentPort, workerData } from "node:worker_threads";

if (isMainThread) {
    const threads = new Map(), owners = new Map(); // by package; by number
    for await (const line of createInterface({ input: process.stdin })) {
        const { number, ...what } = JSON.parse(line);
        if (what.reader && !threads.has(what.reader)) {
            const thread = new Worker(fileURLToPath(import.meta.url), { workerData: what.reader });
            thread.on("message", (text) => process.stdout.write(text + "\n"));
            threads.set(what.reader, thread);
        }
        if (what.reader)
            owners.set(number, threads.get(what.reader));
        owners.get(number).postMessage({ number, ...what });
    }
    process.exit();
}

// How a package listens: { url, wanted, open, say } -> a function that ends it

function listen(EventSource, { url, wanted, open, say }) {
    const source = new EventSource(url);
    source.addEventListener("open", open);
    source.addEventListener("error", () => {}); // launchdarkly-eventsource throws without one
    for (const type of wanted)
        source.addEventListener(type, (e) => say(e.type, e.data, e.lastEventId));
    return () => source.close();
}

const readers = {
    async "eventsource"(stream) {
        return listen((await import("eventsource")).EventSource, stream);
    },

    async "undici"(stream) {
        return listen((await import("undici")).EventSource, stream);
    },

    async "launchdarkly-eventsource"(stream) {
        return listen((await import("launchdarkly-eventsource")).default.EventSource, stream);
    },

    async "event-source-polyfill"(stream) {
        return listen((await import("event-source-polyfill")).default.EventSourcePolyfill, stream);
    },

    // Others

    async "@microsoft/fetch-event-source"({ url, open, say }) {
        const nothing = () => {};
        globalThis.window = globalThis; // it is for pages
        globalThis.document = { hidden: false, addEventListener: nothing,
                                removeEventListener: nothing };
        const { fetchEventSource } = await import("@microsoft/fetch-event-source");
        const ending = new AbortController();
        class StayAway extends Error {}
        fetchEventSource(url, {
            signal: ending.signal,
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
            // else it is done when a stream ends in order
            onclose() { throw new Error("come back"); },
            onerror(error) {
                if (error instanceof StayAway)
                    throw error;
            },
        }).catch((error) => {
            if (!(error instanceof StayAway))
                throw error;
        });
        return () => ending.abort();
    },

    async "event-source-plus"({ url, open, say }) {
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
        return () => controller.abort();
    },

    async "eventsource-client"({ url, open, say }) {
        const { createEventSource } = await import("eventsource-client");
        const client = createEventSource({
            url,
            onConnect: open,
            onMessage: ({ event, data, id }) => say(event ?? "message", data, id),
        });
        return () => client.close();
    },

    // Comes back as eventsource does, with the last id, after 50 ms
    async "eventsource-parser"({ url, open, say, last }) {
        const { createParser } = await import("eventsource-parser");
        const ending = new AbortController(), { signal } = ending;
        (async () => {
            while (!signal.aborted) {
                const parser = createParser(
                    { onEvent: ({ event, data, id }) => say(event ?? "message", data, id) });
                try {
                    const response = await fetch(
                        url, { signal, headers: last() ? { "Last-Event-ID": last() } : {} });
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
        })();
        return () => ending.abort();
    },
};

const ends = new Map(); // by number: of those that listen

// After their end some leave a promise behind that nobody handles.
process.on("unhandledRejection", (error) => {
    if (ends.size)
        throw error;
});

parentPort.on("message", async ({ number, reader, url, types: wanted }) => {
    if (!reader) {
        const end = await ends.get(number);
        ends.delete(number);
        return end();
    }
    let last = ""; // where a package says only the event's own id
    const tell = (text) => parentPort.postMessage(`${number} ${text}`);
    const open = () => tell("open");
    const say = (type, data, id) => {
        last = id || last;
        if (wanted.includes(type))
            tell(JSON.stringify([type, data, last]));
    };
    ends.set(number, readers[workerData]({ url, wanted, open, say, last: () => last }));
});
