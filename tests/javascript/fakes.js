// A hub that a test plays: sockets that it opens and closes, an API that it answers, a browser's storage.

import assert from "node:assert/strict";

import { Problem } from "../../src/hub/web/pages/static/js/api.js";

/** @import { Options } from "../../src/hub/web/pages/static/js/api.js" */
/** @import { ClientFrame, Message, Response, Status } from "../../src/hub/web/pages/static/js/shapes.js" */
/** @typedef {(body: any, options: Options | undefined) => unknown} Answerer */

export const CONVERSATION = "01a2068b-73dd-7566-ab6a-337a107dd102";
export const COMPANION = "01a2068b-73dd-7566-ab6a-337a107dd101";
export const SCENE = { outfit: "a coat", location: "a garden", action: "sitting", expression: "calm" };

/** Let everything go on that waits for nothing but its turn. */
export async function settle() {
    for (let turn = 0; turn < 30; turn += 1) await Promise.resolve();
}

/**
 * An event with something on it.
 * @param {string} type
 * @param {object} fields
 */
const event = (type, fields) => Object.assign(new Event(type), fields);

/** @template T @param {T | undefined} value @returns {T} */
export function there(value) {
    assert.ok(value !== undefined, "there is none");
    return value;
}

export class FakeSocket extends EventTarget {
    /** @type {ClientFrame[]} */
    sent = [];
    isClosed = false;

    /** @param {string} text */
    send(text) {
        this.sent.push(JSON.parse(text));
    }

    close() {
        this.isClosed = true;
    }

    /**
     * What was sent, of one type.
     * @template {ClientFrame["type"]} T
     * @param {T} type
     */
    of(type) {
        return /** @type {Extract<ClientFrame, {type: T}>[]} */ (
            this.sent.filter((frame) => frame.type === type)
        );
    }

    /**
     * @template {ClientFrame["type"]} T
     * @param {T} type
     */
    first(type) {
        return there(this.of(type)[0]);
    }

    /** The hub lets it in. */
    open() {
        this.tell({ type: "session.created", session: { id: "s", user_id: "u" } });
    }

    /** @param {...object} frames */
    tell(...frames) {
        for (const frame of frames) this.say(JSON.stringify({ conversation_id: CONVERSATION, ...frame }));
    }

    /** @param {string} data */
    say(data) {
        this.dispatchEvent(event("message", { data }));
    }

    end(code = 1006) {
        this.dispatchEvent(event("close", { code }));
    }
}

export class FakeStorage {
    /** @type {EventTarget[]} windows that share it: each has a `storage` event for what another one does */
    static windows = [];
    isFull = false;
    #kept;
    #own;

    /**
     * @param {Map<string, string>} [kept]
     * @param {EventTarget | null} [own]
     */
    constructor(kept = new Map(), own = null) {
        this.#kept = kept;
        this.#own = own;
    }

    /**
     * The same storage, as another tab sees it.
     * @param {EventTarget} own
     */
    as(own) {
        return Object.assign(new FakeStorage(this.#kept, own), { isFull: this.isFull });
    }

    get length() {
        return this.#kept.size;
    }

    /** @param {number} index */
    key(index) {
        return [...this.#kept.keys()][index] ?? null;
    }

    /** @param {string} key */
    getItem(key) {
        return this.#kept.get(key) ?? null;
    }

    /**
     * @param {string} key
     * @param {string} value
     */
    setItem(key, value) {
        if (this.isFull) throw new Error("There is no room.");
        this.#kept.set(key, value);
        this.#tell(key, value);
    }

    /** @param {string} key */
    removeItem(key) {
        if (this.#kept.delete(key)) this.#tell(key, null);
    }

    /**
     * @param {string} key
     * @param {string | null} newValue
     */
    #tell(key, newValue) {
        for (const each of FakeStorage.windows) {
            if (each !== this.#own) each.dispatchEvent(event("storage", { key, newValue }));
        }
    }
}

/** The hub's API over a list of messages; `log` names every request, `on` overrides an answer. */
export class FakeHub {
    /** @type {Message[]} */
    messages = [];
    lastPosition = 0;
    revision = 0;
    /** @type {string[]} */
    log = [];
    /** @type {Map<string, object | Answerer>} by method and path; a star at the end stands for any rest */
    on = new Map();

    /**
     * @param {string} method
     * @param {string} path
     * @param {unknown} [body]
     * @param {Options} [options]
     */
    request = async (method, path, body, options) => {
        const call = `${method} ${path}`;
        this.log.push(call);
        const known = [...this.on].find(
            ([key]) => call === key || (key.endsWith("*") && call.startsWith(key.slice(0, -1))),
        );
        const answer = known ? known[1] : this.#answer(call);
        const data =
            typeof answer === "function" ? await /** @type {Answerer} */ (answer)(body, options) : answer;
        if (data instanceof Problem) throw data;
        return { data: structuredClone(data), etag: '"1"' };
    };

    /**
     * Answer a request only when the returned function is told with what.
     * @param {string} key
     */
    delay(key) {
        /** @type {((data: unknown) => void)[]} */
        const waiting = [];
        this.on.set(key, () => new Promise((resolve) => waiting.push(resolve)));
        return (/** @type {unknown} */ data, number = 0) => there(waiting[number])(data);
    }

    /**
     * @param {"user" | "assistant"} role
     * @param {string} content
     * @param {Partial<Message>} [more]
     */
    say(role, content, more = {}) {
        this.lastPosition += 1;
        const item = message(this.lastPosition, role, content, more);
        this.messages.push(item);
        return item;
    }

    /** @param {number} count */
    fill(count) {
        for (let number = 1; number <= count; number += 1)
            this.say(number % 2 ? "user" : "assistant", `message ${number}`);
        return this;
    }

    /** @param {number} index */
    message(index) {
        return there(this.messages[index]);
    }

    /** @param {string} call */
    #answer(call) {
        const { pathname, searchParams } = new URL(there(call.split(" ")[1]), "http://hub");
        if (pathname === `/api/companions/${COMPANION}`) return { id: COMPANION, name: "Mira", scene: SCENE };
        if (pathname === `/api/conversations/${CONVERSATION}`) {
            return { id: CONVERSATION, last_position: this.lastPosition, revision: this.revision };
        }
        if (pathname === `/api/conversations/${CONVERSATION}/messages`) return this.#page(searchParams);
        return new Problem({ status: 404, code: "not_found", detail: call });
    }

    /** @param {URLSearchParams} query */
    #page(query) {
        const before = Number(query.get("before") ?? Infinity);
        const limit = Number(query.get("limit"));
        const all = this.messages.filter((item) => item.position < before);
        return { items: all.slice(-limit).reverse(), next_cursor: all.length > limit ? "more" : null };
    }
}

/**
 * @param {number} position
 * @param {"user" | "assistant"} role
 * @param {string} content
 * @param {Partial<Message>} [more]
 * @returns {Message}
 */
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

/**
 * @param {string} id
 * @param {Status} status
 * @param {string} [output_text]
 * @param {Partial<Response>} [more]
 */
export function response(id, status, output_text = "", more = {}) {
    const fields = { message_id: null, attempt: 1, error: null, image_job_id: null, kind: "reply" };
    return { id, conversation_id: CONVERSATION, status, output_text, ...fields, ...more };
}

// Frames

/**
 * @param {Message} item
 * @param {string} [event_id]
 */
export const added = (item, event_id) => ({
    type: "conversation.item.added",
    item,
    ...(event_id && { event_id }),
});

/**
 * @param {string} id
 * @param {Partial<Response>} [more]
 */
export const queued = (id, more) => ({ type: "response.queued", response: response(id, "queued", "", more) });

/**
 * @param {string} id
 * @param {string} [text]
 * @param {Partial<Response>} [more]
 */
export const begun = (id, text = "", more = {}) => ({
    type: "response.in_progress",
    response: response(id, "in_progress", text, more),
});

/**
 * @param {string} response_id
 * @param {number} offset
 * @param {string} text
 */
export const delta = (response_id, offset, text) => ({
    type: "response.output_text.delta",
    response_id,
    offset,
    delta: text,
});

/**
 * @param {string} response_id
 * @param {string} text
 */
export const done = (response_id, text) => ({ type: "response.output_text.done", response_id, text });

/**
 * @param {string} id
 * @param {"completed" | "failed" | "cancelled"} status
 * @param {string} text
 * @param {Partial<Response>} [more]
 */
export const ended = (id, status, text, more) => ({
    type: `response.${status}`,
    response: response(id, status, text, more),
});
