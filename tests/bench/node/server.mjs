// A peer for tests/bench: better-sse as its documentation shows it. GET opens a stream, the body of
// a POST is an event for all. node server.mjs PORT
import { createServer } from "node:http";
import { createChannel, createSession } from "better-sse";

const channel = createChannel();

async function publish(request, response) {
    const parts = [];
    for await (const part of request)
        parts.push(part);
    channel.broadcast(JSON.parse(Buffer.concat(parts).toString()));
    response.writeHead(200, { "Content-Length": 0 }).end();
}

const server = createServer(async (request, response) => {
    if (request.method === "POST")
        await publish(request, response);
    else
        channel.register(await createSession(request, response));
});

server.requestTimeout = 0;
server.maxRequestsPerSocket = 0;
server.listen({ port: Number(process.argv[2]), host: "127.0.0.1", backlog: 4096 });
