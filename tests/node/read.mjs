// Read a stream until killed. node read.mjs READER URL TYPE,...: a line "open" when it is (each time), and a JSON list [type, data, id] for
// each event. parser comes back as eventsource does, with the last id, after 50 ms.
import { EventSource } from "eventsource";
import { createParser } from "eventsource-parser";

const say = (...event) => console.log(JSON.stringify(event));

function withEventSource(url, types) {
    const source = new EventSource(url);
    source.addEventListener("open", () => console.log("open"));
    for (const type of types)
        source.addEventListener(type, (e) => say(e.type, e.data, e.lastEventId));
}

async function withParser(url, types) {
    let last = "";
    for (;;) {
        const parser = createParser({
            onEvent({ id, event = "message", data }) {
                last = id ?? last;
                if (types.includes(event))
                    say(event, data, last);
            },
        });
        try {
            const response = await fetch(url, { headers: last ? { "Last-Event-ID": last } : {} });
            console.log("open");
            for await (const piece of response.body.pipeThrough(new TextDecoderStream()))
                parser.feed(piece);
        } catch {
            // cut: come back
        }
        await new Promise((done) => setTimeout(done, 50));
    }
}

const [reader, url, types] = process.argv.slice(2);
({ eventsource: withEventSource, parser: withParser })[reader](url, types.split(","));
