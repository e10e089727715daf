/** Messages that were not confirmed yet. They are kept in the browser's storage, so that none is lost. */

import { Problem } from "./api.js";
import { _ } from "./words.js";

/** @import { Message, Signals, Store } from "./shapes.js" */

/**
 * A message on its way. `eventId` makes sending it again harmless; `at` is when it was written, in ms.
 * @typedef {object} Unsent
 * @property {string} eventId
 * @property {string} content
 * @property {boolean} generateImage
 * @property {"sending" | "refused"} state
 * @property {Problem | null} problem why it was refused
 * @property {number} at
 */

const PREFIX = "hub.outbox.";
const HOUR = 3_600_000;
/** The hub knows an event id again for 24 hours; what is older is not sent by itself, since it might double. */
const KNOWN_FOR = 20 * HOUR;
/** What nobody came back for is forgotten. */
const KEPT_FOR = 30 * 24 * HOUR;
/** A message of another tab is taken over if it is still there after this many milliseconds. */
const ORPHANED_AFTER = 20_000;

/** Event `outbox`: the list is another one. `adopted`: a message of another tab has to be sent from here. */
export class Outbox extends EventTarget {
    /** @type {Unsent[]} */
    #entries = [];
    /** @type {Map<string, string>} event ids by the id of the message that they probably became */
    #matched = new Map();
    #lastAt = 0;
    #prefix;
    #storage;
    #signals;
    /** @type {(event: StorageEvent) => void} */
    #onStorage = (event) => this.#changedElsewhere(event);

    /**
     * @param {string} conversationId
     * @param {Store} storage
     * @param {Signals | null} signals
     */
    constructor(conversationId, storage, signals) {
        super();
        this.#prefix = `${PREFIX}${conversationId}.`;
        this.#storage = storage;
        this.#signals = signals;
    }

    /** Those to show: not what has most likely become a message already. */
    get shown() {
        const matched = new Set(this.#matched.values());
        return this.#entries.filter((entry) => !matched.has(entry.eventId));
    }

    /** Those to send, in their order. */
    get waiting() {
        return this.#entries.filter((entry) => entry.state === "sending");
    }

    /** Take up what an earlier page, or another tab, left behind. */
    open() {
        this.#signals?.addEventListener("storage", this.#onStorage);
        forget(this.#storage, (entry) => Date.now() - entry.at > KEPT_FOR);
        this.adopt();
    }

    close() {
        this.#signals?.removeEventListener("storage", this.#onStorage);
    }

    /** Take up what is in the storage. */
    adopt() {
        const known = new Set(this.#entries.map((entry) => entry.eventId));
        const found = stored(this.#storage, this.#prefix).filter((entry) => !known.has(entry.eventId));
        for (const entry of found) if (entry.state === "sending" && isOld(entry)) refuse(entry, tooOld());
        this.#entries = [...this.#entries, ...found].sort((one, other) => one.at - other.at);
        if (found.length) this.#tell();
    }

    /**
     * @param {string} content
     * @param {boolean} generateImage
     * @returns {Unsent}
     */
    add(content, generateImage) {
        this.#lastAt = Math.max(Date.now(), this.#lastAt + 1);
        const eventId = crypto.randomUUID();
        /** @type {Unsent} */
        const entry = { eventId, content, generateImage, state: "sending", problem: null, at: this.#lastAt };
        this.#entries.push(entry);
        this.#keep(entry);
        this.#tell();
        return entry;
    }

    /**
     * The hub has stored it, or the person gave it up.
     * @param {string} eventId
     */
    remove(eventId) {
        const index = this.#entries.findIndex((entry) => entry.eventId === eventId);
        if (index < 0) return false;
        this.#entries.splice(index, 1);
        for (const [id, each] of this.#matched) if (each === eventId) this.#matched.delete(id);
        this.#storage.removeItem(this.#prefix + eventId);
        this.#tell();
        return true;
    }

    /**
     * @param {string} eventId
     * @param {Problem} problem
     */
    refuse(eventId, problem) {
        const entry = this.#entries.find((each) => each.eventId === eventId);
        if (entry === undefined) return false;
        refuse(entry, problem);
        for (const [id, each] of this.#matched) if (each === eventId) this.#matched.delete(id);
        this.#keep(entry);
        this.#tell();
        return true;
    }

    /**
     * Make a refused message one to be sent again.
     * @param {string} eventId
     * @returns {Unsent | undefined}
     */
    again(eventId) {
        const entry = this.#entries.find((each) => each.eventId === eventId);
        if (entry === undefined) return undefined;
        if (isOld(entry)) {
            this.remove(eventId);
            return this.add(entry.content, entry.generateImage);
        }
        Object.assign(entry, { state: "sending", problem: null });
        this.#keep(entry);
        this.#tell();
        return entry;
    }

    /**
     * A message of the user came without word of who sent it: if it says the same as one of these, that one is
     * not shown until the hub has confirmed or refused it. Return its event id.
     * @param {Message} item
     */
    match(item) {
        if (item.role !== "user" || this.#matched.has(item.id)) return undefined;
        const isMeant = (/** @type {Unsent} */ entry) =>
            entry.content === item.content && Date.parse(item.created_at) > entry.at - HOUR / 12;
        const entry = this.shown.find((each) => each.state === "sending" && isMeant(each));
        if (entry === undefined) return undefined;
        this.#matched.set(item.id, entry.eventId);
        this.#tell();
        return entry.eventId;
    }

    /** @param {StorageEvent} event */
    #changedElsewhere({ key, newValue }) {
        if (!key?.startsWith(this.#prefix)) return;
        const eventId = key.slice(this.#prefix.length);
        if (newValue === null) this.remove(eventId);
        else if (this.#entries.some((entry) => entry.eventId === eventId)) this.#takeOver(eventId);
        else setTimeout(() => this.#adoptOrphan(key), ORPHANED_AFTER);
    }

    /**
     * Another tab has refused or revived a message that is known here.
     * @param {string} eventId
     */
    #takeOver(eventId) {
        const told = stored(this.#storage, this.#prefix + eventId)[0];
        const entry = this.#entries.find((each) => each.eventId === eventId);
        if (told && entry) Object.assign(entry, { state: told.state, problem: told.problem });
        this.#tell();
    }

    /** @param {string} key */
    #adoptOrphan(key) {
        if (this.#storage.getItem(key) === null) return;
        this.adopt();
        this.dispatchEvent(new Event("adopted"));
    }

    /** @param {Unsent} entry */
    #keep(entry) {
        const { problem, ...rest } = entry;
        const about = problem && {
            code: problem.code,
            detail: problem.detail,
            retryAfter: problem.retryAfter,
        };
        try {
            this.#storage.setItem(this.#prefix + entry.eventId, JSON.stringify({ ...rest, problem: about }));
        } catch {
            // No room, or not allowed: it is sent all the same, as long as this page is open.
        }
    }

    #tell() {
        this.dispatchEvent(new Event("outbox"));
    }
}

/**
 * Forget messages that were never confirmed: all of them, on log out, or those of which this is true.
 * @param {Store} storage
 * @param {(entry: Unsent) => boolean} [which]
 */
export function forget(storage, which = () => true) {
    for (const key of keys(storage, PREFIX)) {
        const entry = read(storage, key);
        if (entry === null || which(entry)) storage.removeItem(key);
    }
}

/**
 * @param {Store} storage
 * @param {string} prefix
 */
function stored(storage, prefix) {
    return keys(storage, prefix).flatMap((key) => read(storage, key) ?? []);
}

/**
 * @param {Store} storage
 * @param {string} prefix
 */
function keys(storage, prefix) {
    const all = Array.from({ length: storage.length }, (_value, index) => storage.key(index) ?? "");
    return all.filter((key) => key.startsWith(prefix));
}

/**
 * @param {Store} storage
 * @param {string} key
 * @returns {Unsent | null}
 */
function read(storage, key) {
    try {
        const { eventId, content, generateImage, state, problem, at } = JSON.parse(
            storage.getItem(key) ?? "",
        );
        if (typeof content !== "string" || !Number.isFinite(at) || !key.endsWith(`.${eventId}`)) return null;
        const isRefused = state === "refused";
        const why = isRefused ? new Problem(problem ?? { code: "refused" }) : null;
        const kept = { eventId, content, generateImage: generateImage === true, problem: why, at };
        return { ...kept, state: isRefused ? "refused" : "sending" };
    } catch {
        return null;
    }
}

/** @param {Unsent} entry */
function isOld(entry) {
    return Date.now() - entry.at > KNOWN_FOR;
}

/**
 * @param {Unsent} entry
 * @param {Problem} problem
 */
function refuse(entry, problem) {
    Object.assign(entry, { state: "refused", problem });
}

function tooOld() {
    return new Problem({
        code: "too_old",
        detail: _("This was written a while ago and never sent. Send it now?"),
    });
}
