/** Replies that are under way, and their text as it grows. */

/** @import { Kind, Message, Response, ResponseError } from "./shapes.js" */

/**
 * A reply under way. `messageId` is the message that a `regenerate` or `continue` is about to change, whose
 * place its `text` takes; null for a `reply`, which comes behind the last message.
 * @typedef {{id: string, status: "queued" | "in_progress", kind: Kind, text: string, messageId: string | null}} Running
 */

/**
 * A reply that did not come about, and may be tried again; `text` is what was written of it.
 * @typedef {{id: string, status: "failed" | "cancelled", kind: Kind, text: string, error: ResponseError | null}} Ended
 */

/**
 * `length` counts code points. `isStored`: its message is there, only its end has not been told.
 * `isDoubted`: it may have ended while nobody told us.
 * @typedef {Running & {length: number, isStored: boolean, isDoubted: boolean}} Reply
 */

export class Replies {
    /** @type {Map<string, Reply>} */
    #replies = new Map();

    /** The reply to show: the one that is written, else the first that waits. @returns {Reply | null} */
    get running() {
        const shown = [...this.#replies.values()].filter((reply) => !reply.isStored);
        return shown.find((reply) => reply.status === "in_progress") ?? shown[0] ?? null;
    }

    /** @param {string} id */
    get(id) {
        return this.#replies.get(id);
    }

    /**
     * Take a reply as it is told, queued or in progress: its text replaces what was shown.
     * @param {Response} response
     * @param {string | null} target the message that a change would be about
     */
    take(response, target) {
        const before = this.#replies.get(response.id);
        const kind = before && before.kind !== "reply" ? before.kind : response.kind;
        const text = response.status === "queued" ? "" : response.output_text;
        this.#replies.set(response.id, {
            id: response.id,
            status: response.status === "queued" ? "queued" : "in_progress",
            kind,
            text,
            messageId: kind === "reply" ? null : (before?.messageId ?? target),
            length: countPoints(text),
            isStored: false,
            isDoubted: false,
        });
    }

    /**
     * Append to a reply; false if that does not fit what is there.
     * @param {string} id
     * @param {number} offset code points before it
     * @param {string} delta
     */
    append(id, offset, delta) {
        const reply = this.#replies.get(id);
        if (reply?.isStored) return true;
        if (reply === undefined || reply.status !== "in_progress" || reply.length !== offset) return false;
        reply.text += delta;
        reply.length += countPoints(delta);
        reply.isDoubted = false;
        return true;
    }

    /**
     * Take the whole text; tell whether it is another than what was shown.
     * @param {string} id
     * @param {string} text
     */
    finish(id, text) {
        const reply = this.#replies.get(id);
        if (reply === undefined || reply.text === text) return false;
        reply.text = text;
        reply.length = countPoints(text);
        return true;
    }

    /**
     * Take note that a reply became this message; return the reply if it was shown until now.
     * @param {Message} item
     */
    store(item) {
        const reply = item.response_id === null ? undefined : this.#replies.get(item.response_id);
        if (reply === undefined || reply.isStored) return undefined;
        reply.isStored = true;
        return reply;
    }

    /** @param {string} id */
    remove(id) {
        return this.#replies.delete(id);
    }

    /** Be unsure of all: they may have ended unnoticed. */
    doubt() {
        for (const reply of this.#replies.values()) reply.isDoubted = true;
    }

    /** Those that nobody has told of since. */
    get doubted() {
        return [...this.#replies.values()].filter((reply) => reply.isDoubted).map((reply) => reply.id);
    }
}

/**
 * Count the code points of a text whose surrogates are paired.
 * @param {string} text
 */
export function countPoints(text) {
    let pairs = 0;
    for (let index = 0; index < text.length; index += 1) {
        if ((text.charCodeAt(index) & 0xfc00) === 0xdc00) pairs += 1;
    }
    return text.length - pairs;
}
