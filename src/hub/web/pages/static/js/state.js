/** What is known of one conversation, and how each frame about it changes that. */

import { History } from "./history.js";
import { Pictures } from "./pictures.js";
import { Replies } from "./replies.js";

/** @import { Request } from "./api.js" */
/** @import { Outbox } from "./outbox.js" */
/** @import { Ended } from "./replies.js" */
/** @import { AddedFrame, Companion, Image, Message, Response, Scene, TalkFrame, UpdatedFrame } from "./shapes.js" */

/** Milliseconds after which it is clear that a message will not be answered by itself. */
const SETTLED_AFTER = 1_000;

/** @typedef {(event: string, detail?: unknown) => void} Tell */
/** @typedef {{[T in TalkFrame["type"]]?: (frame: Extract<TalkFrame, {type: T}>) => void}} Handlers */

export class State {
    history;
    replies = new Replies();
    pictures = new Pictures();
    /** @type {Ended | null} */
    ended = null;
    /** @type {Companion | null} */
    companion = null;
    /** @type {Scene | null} */
    scene = null;
    /** How often frames told of another scene. */
    scenes = 0;
    isGone = false;
    /** Whether everything that follows a message by itself, as the reply to it, has been told. */
    isSettled = false;
    /** The last change of earlier messages that was told. */
    revision = 0;
    /** @type {Map<string, string>} what a message was shown as before it was stored, by its id */
    keys = new Map();
    #conversationId;
    #outbox;
    #tell;
    #onGap;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    #settling;

    /**
     * @param {object} given
     * @param {string} given.conversationId
     * @param {Request} given.request
     * @param {Outbox} given.outbox
     * @param {Tell} given.tell
     * @param {() => void} given.onGap something was missed
     */
    constructor({ conversationId, request, outbox, tell, onGap }) {
        this.#conversationId = conversationId;
        this.#outbox = outbox;
        this.#tell = tell;
        this.#onGap = onGap;
        this.history = new History(request, conversationId);
    }

    close() {
        clearTimeout(this.#settling);
    }

    /** @param {TalkFrame} frame */
    take(frame) {
        if (!Object.hasOwn(this.#handlers, frame.type)) return; // newer than this page
        const handler = /** @type {(frame: TalkFrame) => void} */ (this.#handlers[frame.type]);
        handler(frame);
    }

    /** @type {Handlers} */
    #handlers = {
        "conversation.item.added": (frame) => this.#added(frame),
        "companion_hub.item.updated": (frame) => this.#updated(frame),
        "response.queued": ({ response }) => this.#underWay(response),
        "response.in_progress": ({ response }) => this.#underWay(response),
        "response.output_text.delta": ({ response_id: id, offset, delta }) => {
            if (this.replies.append(id, offset, delta)) this.#grown(id);
            else this.#onGap();
        },
        "response.output_text.done": ({ response_id: id, text }) => {
            if (this.replies.finish(id, text)) this.#grown(id);
        },
        "response.completed": ({ response }) => this.end(response),
        "response.failed": ({ response }) => this.end(response),
        "response.cancelled": ({ response }) => this.end(response),
        "companion_hub.scene": ({ scene }) => {
            this.scenes += 1;
            this.scene = scene;
            this.#tell("scene");
        },
        "response.image_generation_call.in_progress": (frame) => {
            this.pictures.progress(frame);
            this.#tell("pictures");
        },
        "response.image_generation_call.completed": ({ response_id: id, image }) => this.paint(id, image),
        "response.image_generation_call.failed": ({ response_id: id, error }) => {
            this.pictures.fail(id, error);
            this.#tell("pictures");
        },
    };

    /** Forget everything: there is no such conversation any more. */
    leave() {
        this.isGone = true;
        this.history.invalidate();
        this.history.window.replace([], { hasOlder: false, hasNewer: false });
        this.replies = new Replies();
        for (const event of ["items", "running", "gone"]) this.#tell(event);
    }

    /** What was under way may have ended unnoticed. */
    doubt() {
        this.replies.doubt();
        this.pictures.doubt();
        this.#settle();
    }

    /** @param {Ended | null} ended */
    setEnded(ended) {
        if (this.ended === ended) return;
        this.ended = ended;
        this.#tell("running");
    }

    /**
     * A message of the user is there: perhaps one of the outbox, of which nobody has told yet that it arrived.
     * @param {Message} item
     */
    match(item) {
        const eventId = this.#outbox.match(item);
        if (eventId !== undefined) this.keys.set(item.id, eventId);
    }

    /**
     * A reply has ended.
     * @param {Response} response
     */
    end(response) {
        const wasKnown = this.replies.remove(response.id);
        const { id, status, kind, output_text: text, error, image_job_id: jobId } = response;
        if (status === "failed" || status === "cancelled") this.setEnded({ id, status, kind, text, error });
        if (status === "completed" && jobId && this.pictures.expect(id, jobId)) this.#tell("pictures");
        if (wasKnown) this.#tell("running");
    }

    /**
     * The picture of a message is there.
     * @param {string} responseId
     * @param {Image} image
     */
    paint(responseId, image) {
        const type = /** @type {const} */ ("response.image_generation_call.completed");
        this.history.note({ type, conversation_id: this.#conversationId, response_id: responseId, image });
        this.pictures.remove(responseId);
        this.#tell("items");
        this.#tell("pictures");
    }

    /** @param {AddedFrame} frame */
    #added(frame) {
        const { item, event_id: eventId } = frame;
        // The answer to a message that was sent twice may be ahead of what else was said before it.
        if (eventId === undefined || item.position === this.history.end + 1) {
            this.history.end = Math.max(this.history.end, item.position);
        }
        if (item.position >= this.history.end) this.setEnded(null);
        this.history.note(frame);
        if (eventId === undefined) this.match(item);
        else if (this.#outbox.remove(eventId)) this.keys.set(item.id, eventId);
        if (item.role === "user") this.#settle();
        this.#stored(item);
    }

    /** @param {UpdatedFrame} frame */
    #updated(frame) {
        this.revision = frame.revision;
        this.history.note(frame);
        this.#stored(frame.item);
    }

    /**
     * A message is there: if it is what a reply was growing into, it takes that one's place at once.
     * @param {Message} item
     */
    #stored(item) {
        const reply = this.replies.store(item);
        if (reply?.kind === "reply") this.keys.set(item.id, reply.id);
        this.#tell("items");
        if (reply) this.#tell("running");
    }

    /** @param {Response} response */
    #underWay(response) {
        const { hasNewer, items } = this.history.window;
        const target = hasNewer ? undefined : items.findLast((item) => item.role === "assistant");
        this.replies.take(response, target?.id ?? null);
        this.setEnded(null);
        this.#tell("running");
    }

    /** @param {string} id */
    #grown(id) {
        if (this.replies.running?.id === id) this.#tell("text");
    }

    #settle() {
        this.isSettled = false;
        clearTimeout(this.#settling);
        this.#settling = setTimeout(() => {
            this.isSettled = true;
            this.#tell("running");
        }, SETTLED_AFTER);
    }
}
