/** Follows one conversation over the socket: begins, comes back after a gap, sends what waits. */

import { Problem, asProblem } from "./api.js";
import { State } from "./state.js";

/** @import { Request } from "./api.js" */
/** @import { Live } from "./live.js" */
/** @import { Outbox, Unsent } from "./outbox.js" */
/** @import { Tell } from "./state.js" */
/** @import { ErrorInfo, ServerFrame } from "./shapes.js" */

/** Milliseconds: until what failed is tried again, and until what no frame tells of is asked about. */
const PAUSE = 3_000;
const DOUBT = 400;
/** Least milliseconds between two subscriptions on one connection. */
const CALM = 1_000;
/** Refusals that pass by themselves. */
const PASSING = ["not_ready", "limits_not_ready"];

export class Follower {
    state;
    #conversationId;
    #companionId;
    #live;
    #request;
    #outbox;
    #tell;
    /** The event id of the subscription that was not answered yet, and when it was asked for. */
    #asked = "";
    #askedAt = 0;
    #isClosed = false;
    #isRefreshing = false;
    #hasBegun = false;
    /** @type {Set<string>} event ids */
    #cancels = new Set();
    /** @type {Record<string, ReturnType<typeof setTimeout>>} */
    #timers = {};
    /** @type {[string, (event: Event) => void][]} */
    #listeners = [
        ["frame", (event) => this.#take(/** @type {CustomEvent<ServerFrame>} */ (event).detail)],
        ["state", () => this.#connectionChanged()],
        ["doubt", () => this.#subscribe()],
    ];

    /**
     * @param {object} given
     * @param {string} given.conversationId
     * @param {string} given.companionId
     * @param {Live} given.live
     * @param {Request} given.request
     * @param {Outbox} given.outbox
     * @param {Tell} given.tell
     */
    constructor({ conversationId, companionId, live, request, outbox, tell }) {
        this.#conversationId = conversationId;
        this.#companionId = companionId;
        this.#live = live;
        this.#request = request;
        this.#outbox = outbox;
        this.#tell = tell;
        this.state = new State({
            conversationId,
            request,
            outbox,
            tell,
            onGap: () => this.#subscribeAgain(),
        });
    }

    /** Begin; resolves when the messages are there, or could not be read at first. */
    async start() {
        for (const [type, listener] of this.#listeners) this.#live.addEventListener(type, listener);
        this.#live.start();
        void this.#readCompanion();
        await this.#refresh();
    }

    stop() {
        this.#isClosed = true;
        this.state.close();
        for (const timer of Object.values(this.#timers)) clearTimeout(timer);
        for (const [type, listener] of this.#listeners) this.#live.removeEventListener(type, listener);
        const frame = {
            type: /** @type {const} */ ("conversation.unsubscribe"),
            conversation_id: this.#conversationId,
        };
        this.#live.send(frame, { expectsAnswer: false });
    }

    /** Send all messages that wait. */
    sendWaiting() {
        for (const entry of this.#outbox.waiting) this.post(entry);
    }

    /**
     * Send a message; it waits for the connection if there is none.
     * @param {Unsent} entry
     */
    post({ eventId, content, generateImage }) {
        if (!this.#hasBegun) return;
        this.#live.send({
            type: "conversation.item.create",
            event_id: eventId,
            conversation_id: this.#conversationId,
            item: { type: "message", role: "user", content },
            response: { generate_image: generateImage },
        });
    }

    /**
     * Stop a reply, if there is a connection; tell whether there was.
     * @param {string} id
     */
    cancel(id) {
        const eventId = crypto.randomUUID();
        this.#cancels.add(eventId);
        return this.#live.send({ type: "response.cancel", response_id: id, event_id: eventId });
    }

    // Reading

    /** Read the messages anew, again and again until that works. */
    async #refresh() {
        if (this.#isRefreshing || this.#isClosed || this.state.isGone) return;
        this.#isRefreshing = true;
        try {
            if (!this.#hasBegun) await this.#begin();
            while (this.state.history.isStale && !this.state.isGone) await this.#reload();
        } catch (error) {
            this.#failed(asProblem(error));
        } finally {
            this.#isRefreshing = false;
        }
    }

    /** Where the conversation stands, before its messages are read: what changes meanwhile is then told. */
    async #begin() {
        const { data } = await this.#request("GET", `/api/conversations/${this.#conversationId}`);
        this.state.revision = data.revision;
        this.state.history.end = data.last_position;
        await this.#reload();
        this.#hasBegun = true;
        this.#enter();
    }

    async #reload() {
        const { history } = this.state;
        const known = new Set(history.window.items.map((item) => item.id));
        await history.reload();
        for (const item of history.window.items) if (!known.has(item.id)) this.state.match(item);
        this.#tell("items");
    }

    /** @param {Problem} problem */
    #failed(problem) {
        if (problem.status === 404) this.#leave(problem);
        else this.#tell("problem", problem);
        const pause = Math.max(PAUSE, 1000 * (problem.retryAfter ?? 0));
        if (problem.status !== 404 && problem.status !== 401)
            this.#later("refresh", () => void this.#refresh(), pause);
    }

    /**
     * The conversation was deleted, or is somebody else's.
     * @param {Problem} problem
     */
    #leave(problem) {
        for (const entry of this.#outbox.waiting) this.#outbox.refuse(entry.eventId, problem);
        this.state.leave();
        this.#tell("problem", problem);
    }

    /** Read the companion, and with it the scene, unless a frame tells of a later one meanwhile. */
    async #readCompanion() {
        const { scenes } = this.state;
        try {
            const { data } = await this.#request("GET", `/api/companions/${this.#companionId}`);
            this.state.companion = data;
            if (scenes === this.state.scenes) this.state.scene = data.scene;
            this.#tell("scene");
        } catch (error) {
            this.#tell("problem", asProblem(error));
        }
    }

    // The connection

    #connectionChanged() {
        this.#asked = "";
        this.#tell("connection");
        if (this.#live.state !== "open") return;
        if (this.#hasBegun) void this.#readCompanion();
        this.#enter();
        void this.#refresh();
    }

    /** Follow the talk over a new connection, and send what waits. */
    #enter() {
        if (!this.#hasBegun) return;
        this.#subscribe();
        this.#outbox.adopt();
        this.sendWaiting();
    }

    #subscribe() {
        if (!this.#hasBegun || this.#isClosed || this.state.isGone || this.#asked) return;
        const asked = crypto.randomUUID();
        const { history, revision } = this.state;
        const place = { conversation_id: this.#conversationId, after: history.end, revision };
        if (!this.#live.send({ type: "conversation.subscribe", ...place, event_id: asked })) return;
        this.#asked = asked;
        this.#askedAt = Date.now();
    }

    /** Something was missed: rather be told anew than show what is wrong. */
    #subscribeAgain() {
        const sinceLast = Date.now() - this.#askedAt;
        if (sinceLast >= CALM) this.#subscribe();
        else if (!this.#asked) this.#later("subscribe", () => this.#subscribe(), CALM - sinceLast);
    }

    /** @param {ServerFrame} frame */
    #take(frame) {
        if (frame.type === "error") this.#refused(frame.error);
        if (
            !("conversation_id" in frame) ||
            frame.conversation_id !== this.#conversationId ||
            !this.#hasBegun
        )
            return;
        if (frame.type === "conversation.subscribed") this.#subscribed(frame);
        else if (frame.type === "companion_hub.resync") this.#resync(frame);
        else this.state.take(frame);
    }

    /** @param {{last_position: number, revision: number}} frame */
    #subscribed({ last_position: end, revision }) {
        this.#asked = "";
        this.state.revision = revision;
        this.#doubt();
        // Never goes back, unless the hub itself did, from a backup.
        if (end < this.state.history.end) this.#resync({ last_position: end, revision });
    }

    /** @param {{last_position: number, revision: number}} frame */
    #resync({ last_position: end, revision }) {
        this.state.revision = revision;
        this.state.history.invalidate();
        this.state.history.end = end;
        this.state.setEnded(null);
        this.#doubt();
        void this.#refresh();
    }

    /** @param {ErrorInfo} error */
    #refused({ code, message, event_id: eventId, retry_after: retryAfter }) {
        const problem = new Problem({ code, detail: message, retryAfter: retryAfter ?? null });
        const isGone = code === "conversation_not_found";
        if (eventId === undefined || this.#cancels.delete(eventId)) this.#tell("problem", problem);
        else if (eventId === this.#asked) {
            this.#asked = "";
            if (isGone) this.#leave(problem);
            else this.#later("subscribe", () => this.#subscribe());
        } else if (
            PASSING.includes(code) &&
            this.#outbox.waiting.some((entry) => entry.eventId === eventId)
        ) {
            this.#later("send", () => this.sendWaiting());
        } else if (this.#outbox.refuse(eventId, problem) && isGone) this.#leave(problem);
    }

    // What nobody tells of

    /** What was under way may have ended unnoticed: see whether frames tell of it, else ask. */
    #doubt() {
        this.state.doubt();
        this.#later("check", () => this.#check(), DOUBT);
    }

    #check() {
        for (const id of this.state.replies.doubted) void this.#checkReply(id);
        for (const { key, jobId } of this.state.pictures.doubted) void this.#checkPicture(key, jobId);
    }

    /** @param {string} id */
    async #checkReply(id) {
        const response = await this.#ask(`/api/responses/${id}`);
        if (!this.state.replies.get(id)?.isDoubted || response === undefined) return;
        if (response === null) this.state.replies.remove(id);
        else if (response.status === "queued" || response.status === "in_progress") return;
        else this.state.end(response);
        this.#tell("running");
        const picture = this.state.pictures.all.get(id);
        if (!picture) return;
        this.state.pictures.doubt();
        void this.#checkPicture(id, picture.jobId);
    }

    /**
     * @param {string} key
     * @param {string} jobId
     */
    async #checkPicture(key, jobId) {
        const { pictures } = this.state;
        const job = await this.#ask(`/api/jobs/${jobId}`);
        if (job === undefined || !pictures.doubted.some((picture) => picture.key === key)) return;
        if (job === null) pictures.remove(key);
        else if (job.result) return this.state.paint(key, job.result);
        else pictures.take(key, key, job);
        this.#tell("pictures");
    }

    /**
     * Return what stands there; null if it is gone, undefined if nobody can tell now.
     * @param {string} path
     */
    async #ask(path) {
        try {
            return (await this.#request("GET", path)).data;
        } catch (error) {
            if (asProblem(error).status === 404) return null;
            if (this.#live.state === "open") this.#later("check", () => this.#check());
            return undefined;
        }
    }

    /**
     * @param {string} what
     * @param {() => void} act
     * @param {number} [pause]
     */
    #later(what, act, pause = PAUSE) {
        clearTimeout(this.#timers[what]);
        if (!this.#isClosed) this.#timers[what] = setTimeout(act, pause);
    }
}
