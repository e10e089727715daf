// A client in JavaScript, for Node 18 and later and, all but the file, for browsers: no packages.
//   node docs/examples/client.mjs [http://127.0.0.1:8000] [USERNAME PASSWORD]
import { writeFile } from "node:fs/promises";

const [hub = "http://127.0.0.1:8000", username, password = "three green umbrellas"] = process.argv.slice(2);
const ENDS = ["response.completed", "response.failed", "response.cancelled"];
let token = "";

// Returns the JSON of an answer; a refusal is a problem document that says what to do.
async function call(method, path, body, headers = {}) {
  const answer = await fetch(hub + path, {
    method,
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json", ...headers },
    body: body && JSON.stringify(body),
  });
  const json = await answer.json();
  if (!answer.ok) throw new Error(`${json.title}: ${json.detail} (request ${json.request_id})`);
  return json;
}

async function signIn() {
  if (username) return call("POST", "/api/auth/login", { login: username, password });
  const name = `robin_${process.pid}`;
  return call("POST", "/api/auth/register", { username: name, email: `${name}@example.org`, password });
}

// Yields a response's Server-Sent Events; after a lost connection they go on behind the last delta.
async function* events(responseId) {
  for (let last = "0"; ; ) {
    try {
      const answer = await fetch(`${hub}/api/responses/${responseId}/events`, {
        headers: { Authorization: `Bearer ${token}`, "Last-Event-ID": last },
      });
      let rest = "";
      for await (const piece of answer.body.pipeThrough(new TextDecoderStream())) {
        const parts = (rest + piece).split("\n\n");
        rest = parts.pop();
        for (const part of parts) {
          last = part.match(/^id: (.*)$/m)?.[1] ?? last;
          const data = part.match(/^data: (.*)$/m)?.[1];
          if (!data) continue;
          const frame = JSON.parse(data);
          yield frame;
          if (ENDS.includes(frame.type)) return;
        }
      }
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // what fetch throws when the network fails
      console.log("\n(the connection was lost: again)");
    }
  }
}

// Yields a socket's frames. A browser cannot set headers on a WebSocket, so a ticket signs in.
async function* frames(socket) {
  const waiting = [];
  let wake = () => {};
  socket.onmessage = (event) => { waiting.push(JSON.parse(event.data)); wake(); };
  socket.onclose = (event) => { waiting.push({ type: "closed", code: event.code }); wake(); };
  for (;;) {
    while (waiting.length) yield waiting.shift();
    await new Promise((resolve) => { wake = resolve; });
  }
}

// Prints a reply as it comes and returns the frame that ends it.
async function talk(told, until = ENDS) {
  for (let next; !(next = await told.next()).done; ) {
    const frame = next.value;
    if (frame.type === "response.in_progress") process.stdout.write("\r" + frame.response.output_text);
    if (frame.type === "response.output_text.delta") process.stdout.write(frame.delta);
    if (until.includes(frame.type)) {
      console.log(`\n[${frame.type}]`);
      return frame;
    }
    if (frame.type === "closed") throw new Error(`the socket was closed with ${frame.code}`);
  }
}

token = (await signIn()).access_token;
const companion = await call("POST", "/api/companions", {
  name: "Mira",
  description: "A calm botanist who loves moss.",
  appearance: "green eyes, short grey hair",
});
const conversation = (await call("POST", "/api/conversations", { companion_id: companion.id })).id;

// By HTTP and Server-Sent Events. The key makes it safe to send this again when the answer was lost.
const path = `/api/conversations/${conversation}/messages`;
const message = { content: "Good morning! What grows here?", generate_image: true };
const sent = await call("POST", path, message, { "Idempotency-Key": `first-${conversation}` });
const { response } = await talk(events(sent.response.id));

// The picture is painted afterwards, by a job of its own.
let job = await call("GET", `/api/jobs/${response.image_job_id}`);
while (["queued", "in_progress"].includes(job.status)) {
  await new Promise((resolve) => setTimeout(resolve, 500));
  job = await call("GET", `/api/jobs/${job.id}`);
}
const picture = await fetch(hub + job.result.url, {
  headers: { Authorization: `Bearer ${token}`, Accept: "image/jpeg" },
});
const bytes = Buffer.from(await picture.arrayBuffer());
await writeFile("mira.jpg", bytes);
console.log(`picture: ${job.status}, ${bytes.length} bytes in mira.jpg`);

// By WebSocket, which browsers and Node 22 have built in.
if (globalThis.WebSocket) {
  const { ticket } = await call("POST", "/api/ws-tickets");
  const socket = new WebSocket(`${hub.replace("http", "ws")}/api/ws?ticket=${ticket}`);
  const told = frames(socket);
  await talk(told, ["session.created"]);
  const after = sent.message.position + 1; // what we have; only what comes behind it is told
  socket.send(JSON.stringify({ type: "conversation.subscribe", conversation_id: conversation, after }));
  const item = { type: "message", role: "user", content: "And by the pond?" };
  const create = { type: "conversation.item.create", event_id: "second", conversation_id: conversation, item };
  socket.send(JSON.stringify(create));
  await talk(told);
  socket.close();
}
