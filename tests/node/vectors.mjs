// What a reader makes of streams. node vectors.mjs READER URL...: for each URL one line, a JSON
// list of [type, data, lastEventId]. eventsource opens the URL until the server answers 204; parser
// is given the bytes of one response, cut in pieces of a byte.
import { EventSource } from "eventsource";
import { createParser } from "eventsource-parser";

function withEventSource(url, types) {
    return new Promise((done) => {
        const events = [];
        const source = new EventSource(url);
        for (const type of types)
            source.addEventListener(type, (e) => events.push([e.type, e.data, e.lastEventId]));
        source.addEventListener("error", () => source.readyState === source.CLOSED && done(events));
    });
}

async function withParser(url) {
    const events = [];
    let last = "";
    const parser = createParser({
        onEvent({ id, event, data }) {
            last = id ?? last;
            events.push([event ?? "message", data, last]);
        },
    });
    const decoder = new TextDecoder();
    await (await fetch(url)).arrayBuffer(); // the first answer only says when to come back
    const body = new Uint8Array(await (await fetch(url)).arrayBuffer());
    for (const byte of body)
        parser.feed(decoder.decode(Uint8Array.of(byte), { stream: true }));
    return events;
}

const [reader, types, ...urls] = process.argv.slice(2);
const read = { eventsource: withEventSource, parser: withParser }[reader];
for (const url of urls)
    console.log(JSON.stringify(await read(url, types.split(","))));
