// A hub that a test plays: sockets that it opens and closes, an API that it answers, a browser's storage.

import { Problem } from "../../src/hub/web/pages/static/js/api.js";
import { Live } from "../../src/hub/web/pages/static/js/live.js";
import { Talk } from "../../src/hub/web/pages/static/js/talk.js";

export const CONVERSATION = "01a2068b-73dd-7566-ab6a-337a107dd102";
export const COMPANION = "01a2068b-73dd-7566-ab6a-337a107dd101";

/** Let everything go on that waits for nothing but its turn. */
export async function settle() {
    for (let turn = 0; turn < 30; turn += 1) await Promise.resolve();
}

export class FakeSocket extends EventTarget {
    sent = [];
    isClosed = false;

    constructor(url, protocol) {
        super();
        Object.assign(this, { url, protocol });
        FakeSocket.all.push(this);
    }

    static all = [];

    send(text) {
        this.sent.push(JSON.parse(text));
    }

    close() {
        this.isClosed = true;
    }

    /** What was sent, of one type. */
    of(type) {
        return this.sent.filter((frame) => frame.type === type);
    }

    /** The hub lets it in. */
    open() {
        this.tell({ type: "session.created", session: { id: "s", user_id: "u" } });
    }

    tell(...frames) {
        for (const frame of frames) {
            const data = JSON.stringify({ conversation_id: CONVERSATION, ...frame });
            this.dispatchEvent(Object.assign(new Event("message"), { data }));
        }
    }

    end(code = 1006) {
        this.dispatchEvent(Object.assign(new Event("close"), { code }));
    }
}

export class FakeStorage {
    /** Windows that share it: each has a `storage` event for what another one does. */
    static windows = [];
    #kept;
    #own;

    constructor(kept = new Map(), own = null) {
        this.#kept = kept;
        this.#own = own;
    }

    /** The same storage, as another tab sees it. */
    as(signals) {
        return new FakeStorage(this.#kept, signals);
    }

    get length() {
        return this.#kept.size;
    }

    key(index) {
        return [...this.#kept.keys()][index] ?? null;
    }

    getItem(key) {
        return this.#kept.get(key) ?? null;
    }

    setItem(key, value) {
        this.#kept.set(key, value);
        this.#tell(key, value);
    }

    removeItem(key) {
        if (this.#kept.delete(key)) this.#tell(key, null);
    }

    #tell(key, newValue) {
        for (const each of FakeStorage.windows) {
            if (each !== this.#own) each.dispatchEvent(Object.assign(new Event("storage"), { key, newValue }));
        }
    }
}

export const SCENE = { outfit: "a coat", location: "a garden", action: "sitting", expression: "calm" };

/** The hub's API over a list of messages; `log` names every request, `on` overrides an answer. */
export class FakeHub {
    messages = [];
    lastPosition = 0;
    revision = 0;
    log = [];
    on = new Map();
    held = null;

    request = async (method, path, body, options) => {
        const call = `${method} ${path}`;
        this.log.push(call);
        if (this.held) await this.held;
        const known = [...this.on].find(([key]) => call === key || (key.endsWith("*") && call.startsWith(key.slice(0, -1))));
        const answer = known ? known[1] : () => this.#answer(call);
        const data = typeof answer === "function" ? await answer(body, options) : answer;
        if (data instanceof Problem) throw data;
        return { data: structuredClone(data), etag: '"1"' };
    };

    /** Keep all answers back, until the returned function is called. */
    hold() {
        const { promise, resolve } = Promise.withResolvers?.() ?? deferred();
        this.held = promise;
        return () => {
            this.held = null;
            resolve();
        };
    }

    say(role, content, more = {}) {
        this.lastPosition += 1;
        const item = message(this.lastPosition, role, content, more);
        this.messages.push(item);
        return item;
    }

    fill(count) {
        for (let number = 1; number <= count; number += 1) this.say(number % 2 ? "user" : "assistant", `message ${number}`);
        return this;
    }

    #answer(call) {
        const { pathname, searchParams } = new URL(call.split(" ")[1], "http://hub");
        if (pathname === `/api/companions/${COMPANION}`) return { id: COMPANION, name: "Mira", scene: SCENE };
        if (pathname === `/api/conversations/${CONVERSATION}`) {
            return { id: CONVERSATION, last_position: this.lastPosition, revision: this.revision };
        }
        if (pathname === `/api/conversations/${CONVERSATION}/messages`) return this.#page(searchParams);
        return new Problem({ status: 404, code: "not_found", detail: call });
    }

    #page(query) {
        const before = Number(query.get("before") ?? Infinity);
        const limit = Number(query.get("limit"));
        const all = this.messages.filter((item) => item.position < before);
        return { items: all.slice(-limit).reverse(), next_cursor: all.length > limit ? "more" : null };
    }
}

function deferred() {
    const made = {};
    made.promise = new Promise((resolve) => Object.assign(made, { resolve }));
    return made;
}

export function message(position, role, content, more = {}) {
    return {
        id: `m${position}`,
        conversation_id: CONVERSATION,
        position,
        role,
        content,
        response_id: null,
        created_at: new Date().toISOString(),
        image: null,
        alternative: 1,
        alternatives: 1,
        edited_at: null,
        ...more,
    };
}

export function response(id, status, output_text = "", more = {}) {
    const fields = { message_id: null, attempt: 1, error: null, image_job_id: null, kind: "reply" };
    return { id, conversation_id: CONVERSATION, status, output_text, ...fields, ...more };
}

export const added = (item, event_id) => ({ type: "conversation.item.added", item, ...(event_id && { event_id }) });
export const queued = (id, more) => ({ type: "response.queued", response: response(id, "queued", "", more) });
export const begun = (id, text = "", more = {}) => ({
    type: "response.in_progress",
    response: response(id, "in_progress", text, more),
});
export const delta = (response_id, offset, text) => ({ type: "response.output_text.delta", response_id, offset, delta: text });
export const done = (response_id, text) => ({ type: "response.output_text.done", response_id, text });
export const ended = (id, status, text, more) => ({ type: `response.${status}`, response: response(id, status, text, more) });

/** A page with one talk; `events` lists what it told, `socket` is its newest socket. */
export class Page {
    events = [];
    problems = [];

    constructor(hub, { storage = new FakeStorage() } = {}) {
        this.hub = hub;
        this.window = new EventTarget();
        FakeStorage.windows.push(this.window);
        this.sockets = [];
        const { sockets } = this;
        class Socket extends FakeSocket {
            constructor(...values) {
                super(...values);
                sockets.push(this);
            }
        }
        this.live = new Live({ url: "ws://hub/api/ws", Socket, signals: this.window });
        const ids = { conversationId: CONVERSATION, companionId: COMPANION };
        const own = storage.as(this.window);
        this.talk = new Talk({ ...ids, live: this.live, request: hub.request, signals: this.window, storage: own });
        for (const type of ["items", "text", "running", "outbox", "pictures", "scene", "connection", "gone"]) {
            this.talk.addEventListener(type, () => this.events.push(type));
        }
        this.talk.addEventListener("problem", (event) => this.problems.push(event.detail));
    }

    get socket() {
        return this.sockets.at(-1);
    }

    get contents() {
        return this.talk.items.map((item) => item.content);
    }

    /** Open it and let the hub answer the subscription. */
    async open() {
        await this.talk.open();
        await settle();
        return this.connect();
    }

    async connect() {
        this.socket.open();
        await settle();
        this.subscribed();
        return this;
    }

    /** The hub is there again, for a page that has not read anything yet. */
    async connectLater(clock) {
        this.socket.open();
        clock.tick(3000);
        await settle();
        this.subscribed();
    }

    subscribed() {
        const [asked] = this.socket.of("conversation.subscribe").slice(-1);
        this.socket.tell({ type: "conversation.subscribed", last_position: this.hub.lastPosition, revision: asked.revision });
        return asked;
    }

    /** Lose the connection, and come back after the pause. */
    async reconnect(clock, code = 1006) {
        this.socket.end(code);
        clock.tick(1000);
        return this.connect();
    }

    /** Close the tab. */
    close() {
        this.talk.close();
        this.live.stop();
        FakeStorage.windows = FakeStorage.windows.filter((each) => each !== this.window);
    }
}
