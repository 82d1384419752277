// Publish an event from Node, with zeromq (npm install). node publish.mjs [TEXT]
import { Request } from "zeromq";

const request = { op: "publish", event: "greeting",
                  data: { from: "Node", text: process.argv[2] ?? "hello" } };

const broker = new Request({ linger: 0, receiveTimeout: 5000 });
broker.connect(process.env.SSECAST_COMMANDS ?? "tcp://127.0.0.1:5570");
await broker.send(JSON.stringify(request));
const reply = JSON.parse(await broker.receive());
console.log(reply);
process.exit(reply.ok ? 0 : 1);
