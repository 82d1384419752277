// Read a stream until killed. node read.mjs READER URL TYPE,...: a line "open" when it is (each time), and a JSON list [type, data, id] for
// each event. A reader is the name of a package; those that come back are left to do so by themselves.
import { setTimeout as pause } from "node:timers/promises";

const [reader, url, types] = process.argv.slice(2);
const wanted = types.split(",");
let last = ""; // where a package says only the event's own id

setInterval(() => {}, 1 << 30); // undici's EventSource, for one, does not keep Node running between two attempts

const open = () => console.log("open");

function say(type, data, id) {
    last = id || last;
    if (wanted.includes(type))
        console.log(JSON.stringify([type, data, last]));
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
