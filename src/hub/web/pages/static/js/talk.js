/** One conversation, kept in step with the hub: what a chat page shows, and what it can do. */

import { Problem, asProblem, request as ask, session } from "./api.js";
import { Follower } from "./follower.js";
import { Live } from "./live.js";
import { Outbox } from "./outbox.js";
import { countPoints } from "./replies.js";
import { _, format } from "./words.js";

/** @import { Request } from "./api.js" */
/** @import { Unsent } from "./outbox.js" */
/** @import { Picture } from "./pictures.js" */
/** @import { Ended, Running } from "./replies.js" */
/** @import { Alternative, Companion, Connection, Job, Message, Response, Scene, Signals, Store } from "./shapes.js" */

/** Code points that a message may have at most, whatever the hub's settings allow. */
const LONGEST = 100_000;
const POLL = 1_000;
const POLL_AFTER_FAILURE = 4_000;

/**
 * Events, each saying that a property is another one now: `items` (with hasOlder and hasNewer), `text`
 * (running.text grew), `running` (with ended and canReply), `outbox`, `pictures`, `scene` (with companion),
 * `connection`, `gone`. And `problem` (a CustomEvent whose detail is a Problem) for what nobody asked for;
 * what is asked for rejects with a Problem.
 */
export class Talk extends EventTarget {
    #live;
    #ownsLive;
    #request;
    #outbox;
    #follower;
    #state;
    #companionId;
    #path;
    #events;
    #signedOut = () => this.#live.signedOut();
    #isClosed = false;

    /**
     * @param {object} given
     * @param {string} given.conversationId
     * @param {string} given.companionId
     * @param {Live} [given.live] a socket to share; else one of its own
     * @param {Store} [given.storage] where messages wait until they are stored
     * @param {Request} [given.request] what asks the API
     * @param {Signals | null} [given.signals] the window
     * @param {EventTarget} [given.events] what fires `signed-out`
     */
    constructor({ conversationId, companionId, live, storage, request = ask, signals, events = session }) {
        super();
        const window = signals === undefined ? (globalThis.window ?? null) : signals;
        this.#ownsLive = live === undefined;
        this.#live = live ?? new Live({ signals: window });
        this.#request = request;
        this.#events = events;
        this.#companionId = companionId;
        this.#path = `/api/conversations/${conversationId}`;
        this.#outbox = new Outbox(conversationId, storage ?? browserStorage(), window);
        this.#outbox.addEventListener("outbox", () => this.#tell("outbox"));
        const tell = (/** @type {string} */ event, /** @type {unknown} */ detail) =>
            this.#tell(event, detail);
        this.#follower = new Follower({
            conversationId,
            companionId,
            live: this.#live,
            request,
            outbox: this.#outbox,
            tell,
        });
        this.#state = this.#follower.state;
        this.#outbox.addEventListener("adopted", () => this.#follower.sendWaiting());
    }

    // What is shown

    /** Messages by position, a window of at most 400; another array whenever one is another. @returns {readonly Message[]} */
    get items() {
        return this.#state.history.window.items;
    }

    /** Whether there is more before the first of them: {@link loadOlder}. */
    get hasOlder() {
        return this.#state.history.window.hasOlder;
    }

    /** Whether there is more behind the last: {@link loadNewer}; then `running` and `outbox` are not to be shown. */
    get hasNewer() {
        return this.#state.history.window.hasNewer;
    }

    /** Whether the messages were read at all. */
    get isLoaded() {
        return !this.#state.history.isStale || this.items.length > 0;
    }

    /** Messages on their way, and those refused. @returns {readonly Unsent[]} */
    get outbox() {
        return this.#outbox.shown;
    }

    /** The reply under way. @returns {Readonly<Running> | null} */
    get running() {
        return this.#state.replies.running;
    }

    /** The last reply that failed or was cancelled, while it may be tried again: {@link retry}. @returns {Ended | null} */
    get ended() {
        return this.#state.ended;
    }

    /** Whether the talk ends with a message without a reply: {@link reply}. */
    get canReply() {
        const { isSettled, isGone } = this.#state;
        const isLast = !this.hasNewer && this.items.at(-1)?.role === "user";
        return isLast && isSettled && !isGone && !this.running && !this.#outbox.waiting.length;
    }

    /** Pictures on their way or failed; those asked for by themselves also when they are there. @returns {ReadonlyMap<string, Picture>} by response id, or job id */
    get pictures() {
        return this.#state.pictures.all;
    }

    /** @returns {Scene | null} */
    get scene() {
        return this.#state.scene;
    }

    /** @returns {Companion | null} */
    get companion() {
        return this.#state.companion;
    }

    /** @returns {Connection} */
    get connection() {
        return this.#live.state;
    }

    /** Whether the conversation was deleted. */
    get isGone() {
        return this.#state.isGone;
    }

    /**
     * What a message is rendered under: the same as that of the running reply (its id), or of the message in the
     * outbox (its eventId), that it was before.
     * @param {Message} message
     */
    keyOf(message) {
        return this.#state.keys.get(message.id) ?? message.id;
    }

    // What it does

    /** Read the end of the talk and follow it; resolves when the messages are there (or the first try failed). */
    async open() {
        this.#events.addEventListener("signed-out", this.#signedOut);
        this.#outbox.open();
        await this.#follower.start();
    }

    /** Let go of the socket and of all timers. What waits in the outbox stays in the storage. */
    close() {
        this.#isClosed = true;
        this.#events.removeEventListener("signed-out", this.#signedOut);
        this.#outbox.close();
        this.#follower.stop();
        if (this.#ownsLive) this.#live.stop();
    }

    /**
     * Say something, now or when the connection is back. Goes to the end of the talk.
     * @param {string} content
     * @param {{generateImage?: boolean}} [options]
     * @returns {Unsent}
     * @throws {Problem} blank, or too long
     */
    send(content, { generateImage = false } = {}) {
        const text = content.toWellFormed().replaceAll("\0", "");
        if (!text.trim()) throw new Problem({ code: "blank", detail: _("Write something first.") });
        if (countPoints(text) > LONGEST) {
            const detail = format(_("A message has at most %(number)s characters."), { number: LONGEST });
            throw new Problem({ code: "too_long", detail });
        }
        const entry = this.#outbox.add(text, generateImage);
        this.#follower.post(entry);
        if (this.hasNewer) this.goToEnd().catch((error) => this.#tell("problem", asProblem(error)));
        return entry;
    }

    /**
     * Send a refused message again.
     * @param {string} eventId
     */
    resend(eventId) {
        const entry = this.#outbox.again(eventId);
        if (entry) this.#follower.post(entry);
    }

    /**
     * Give a message in the outbox up. One that is on its way may arrive nevertheless.
     * @param {string} eventId
     */
    drop(eventId) {
        this.#outbox.remove(eventId);
    }

    /** Stop the reply under way. */
    async stop() {
        const reply = this.running;
        if (reply === null || this.#follower.cancel(reply.id)) return;
        await this.#request("POST", `/api/responses/${reply.id}/cancel`);
    }

    /** Try the reply that failed or was cancelled again. @returns {Promise<Response | null>} null if there is none */
    async retry() {
        if (this.ended === null) return null;
        return (await this.#request("POST", `/api/responses/${this.ended.id}/retry`)).data;
    }

    /** Have the last message answered. */
    reply() {
        return this.#respond("reply", false);
    }

    /**
     * Have the companion's last message written anew.
     * @param {{generateImage?: boolean}} [options]
     */
    regenerate({ generateImage = false } = {}) {
        return this.#respond("regenerate", generateImage);
    }

    /** Have the companion go on with its last message. */
    continue() {
        return this.#respond("continue", false);
    }

    /**
     * Change what a message says, unless it says something else by now (412 `stale_edit`).
     * @param {Message} message as it was shown
     * @param {string} content
     * @returns {Promise<Message>}
     */
    async edit(message, content) {
        const path = `/api/messages/${message.id}`;
        const { data, etag } = await this.#request("GET", path);
        if (data.content !== message.content) {
            const detail = _("This message has changed meanwhile. Look at it again before you edit it.");
            throw new Problem({ status: 412, code: "stale_edit", detail });
        }
        /** @type {Record<string, string>} */
        const headers = etag === null ? {} : { "If-Match": etag };
        return (await this.#request("PATCH", path, { content: content.toWellFormed() }, { headers })).data;
    }

    /**
     * Take a message out, with everything behind it if `following`.
     * @param {Message} message
     * @param {{following?: boolean}} [options]
     */
    async remove(message, { following = false } = {}) {
        await this.#request("DELETE", `/api/messages/${message.id}${following ? "?following=true" : ""}`);
    }

    /**
     * The texts that a message has had.
     * @param {Message} message
     * @returns {Promise<Alternative[]>}
     */
    async alternatives(message) {
        return (await this.#request("GET", `/api/messages/${message.id}/alternatives?limit=200`)).data.items;
    }

    /**
     * Show another of its texts.
     * @param {Message} message
     * @param {number} number from 1
     * @returns {Promise<Message>}
     */
    async choose(message, number) {
        return (await this.#request("POST", `/api/messages/${message.id}/alternatives/${number}/choose`))
            .data;
    }

    /**
     * Have a picture made of the moment, or of a prompt; `pictures` tells how far it is, under its job's id.
     * @param {string} [prompt]
     * @returns {Promise<Job>}
     */
    async picture(prompt) {
        const body = prompt ? { prompt } : {};
        const { data: job } = await this.#request(
            "POST",
            `/api/companions/${this.#companionId}/images`,
            body,
        );
        this.#state.pictures.take(job.id, null, job);
        this.#tell("pictures");
        void this.#watch(job.id);
        return job;
    }

    /**
     * Stop a picture on its way; no longer show one that has ended.
     * @param {string} key
     */
    async dropPicture(key) {
        const picture = this.pictures.get(key);
        if (picture && !picture.image && !picture.error)
            await this.#request("POST", `/api/jobs/${picture.jobId}/cancel`);
        this.#state.pictures.remove(key);
        this.#tell("pictures");
    }

    /** Read 50 older messages. */
    loadOlder() {
        return this.#read(this.#state.history.older());
    }

    /** Read newer messages. */
    loadNewer() {
        return this.#read(this.#state.history.newer());
    }

    /**
     * Have the message at this position, and what is around it, in `items`.
     * @param {number} position
     */
    goTo(position) {
        return this.#read(this.#state.history.goTo(position));
    }

    goToEnd() {
        return this.#read(this.#state.history.goToEnd());
    }

    /** @param {Promise<void>} reading */
    async #read(reading) {
        await reading;
        this.#tell("items");
    }

    /**
     * @param {"reply" | "regenerate" | "continue"} kind
     * @param {boolean} generateImage
     * @returns {Promise<Response>}
     */
    async #respond(kind, generateImage) {
        const body = { kind, generate_image: generateImage };
        const headers = { "Idempotency-Key": crypto.randomUUID() };
        return (await this.#request("POST", `${this.#path}/responses`, body, { headers })).data;
    }

    /**
     * Ask about a picture that no frame tells of until it has ended.
     * @param {string} id
     */
    async #watch(id) {
        for (let pause = POLL; ;) {
            await new Promise((resolve) => setTimeout(resolve, pause));
            if (this.#isClosed || !this.pictures.has(id)) return;
            try {
                const { data: job } = await this.#request("GET", `/api/jobs/${id}`);
                if (!this.pictures.has(id)) return;
                this.#state.pictures.take(id, null, job);
                this.#tell("pictures");
                if (job.completed_at !== null) return;
                pause = POLL;
            } catch (error) {
                if (asProblem(error).status === 404) return void this.dropPicture(id).catch(() => {});
                pause = POLL_AFTER_FAILURE;
            }
        }
    }

    /**
     * @param {string} event
     * @param {unknown} [detail]
     */
    #tell(event, detail) {
        if (!this.#isClosed) this.dispatchEvent(new CustomEvent(event, { detail }));
    }
}

/** @returns {Store} */
function browserStorage() {
    try {
        return globalThis.localStorage;
    } catch {
        const kept = new Map();
        return {
            get length() {
                return kept.size;
            },
            key: (index) => [...kept.keys()][index] ?? null,
            getItem: (key) => kept.get(key) ?? null,
            setItem: (key, value) => void kept.set(key, value),
            removeItem: (key) => void kept.delete(key),
        };
    }
}
