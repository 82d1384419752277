// What a page in TypeScript may write with client/js/ssecast.d.ts, and what it may not.
import { EventStream, publish, PublishError, type EventStreamOptions,
         type EventStreamState } from "./ssecast.js";

const options: EventStreamOptions = { shared: false, lastEventId: "7" };
const since: EventStreamOptions = { lastEventId: 1763710000000042, channels: undefined,
                                    last: undefined };
new EventStream("/sse", since).close();
const together: EventStreamOptions = { ...options, shared: "anna" };
const stream = new EventStream("/sse?session=anna", options);
const stop: () => void =
  stream.on("greeting", (event) => console.log(event.data.length, event.lastEventId.length));
stream.addEventListener("online", () => stop());
stream.addEventListener("gap", ({ detail }) => console.log(detail.last, detail.oldest.toFixed()));
stream.addEventListener(
  "offline", ({ detail }) => console.log(detail.retryIn === null ? "" : detail.retryIn.toFixed()),
  { once: true });
stream.addEventListener(
  "stopped", ({ detail }) => console.log(detail.status.toFixed(), detail.reason?.length));
const connection: string | null = new EventStream("/sse", together).connection;
const state: EventStreamState = stream.state;
if (state === "online" && stream.online)
  stream.close();
else
  stream.open();

// @ts-expect-error: a misspelt option
new EventStream("/sse", { share: true });
// @ts-expect-error: shared with whom?
new EventStream("/sse", { shared: true });
// @ts-expect-error: what is told with a gap has no reason
stream.addEventListener("gap", ({ detail }) => detail.reason.length as number);
// @ts-expect-error: the state is not for writing
stream.state = "online";

publish("/sse/publish", { data: 1, except: { connections: connection ? [connection] : [] } });
publish("/sse/publish", { event: "said", data: { n: 1 }, to: { channels: ["room:7"] }, id: "mine" },
        { token: "x", tries: 2 })
  .then((reply) => console.log(reply.seq?.toFixed(), reply.duplicate === true));
publish("/sse/publish", { event: "price", data: 91250.5, to: { channels: ["prices"] },
                          key: "price:BTC", ttl: 3600, private: true })
  .then((reply) => console.log(reply.seq_as_id === true));
publish("/sse/publish", { event: "delisted", data: "BTC", key: "price:BTC", remove: true });
publish(new URL("https://example.org/sse/publish"), [{ text: "a" }, { text: "b" }])
  .then((reply) => console.log(reply.seqs?.length),
        (error) => console.log(error instanceof PublishError
                               && error.status.toFixed() + error.code.length));
// @ts-expect-error: a misspelt field would make it an event for everyone
publish("/sse/publish", { data: 1, too: { sessions: ["a"] } });
