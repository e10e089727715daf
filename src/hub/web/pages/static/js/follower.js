/** Follows one conversation over the socket: takes its frames, comes back after a gap, sends what waits. */

import { Problem } from "./api.js";
import { History } from "./history.js";
import { Pictures } from "./pictures.js";
import { Replies } from "./replies.js";

/** @import { Request } from "./api.js" */
/** @import { Live } from "./live.js" */
/** @import { Outbox, Unsent } from "./outbox.js" */
/** @import { Ended } from "./replies.js" */
/** @import { AddedFrame, Companion, ErrorInfo, Image, Message, Response, Scene, ServerFrame, TalkFrame, UpdatedFrame } from "./shapes.js" */

/** Milliseconds: until what failed is tried again, and until what no frame tells of is asked about. */
const PAUSE = 3_000;
const DOUBT = 400;
/** Least milliseconds between two subscriptions on one connection. */
const CALM = 1_000;
/** Refusals that pass by themselves. */
const PASSING = ["not_ready", "limits_not_ready"];

/** @typedef {{[T in TalkFrame["type"]]: (frame: Extract<TalkFrame, {type: T}>) => void}} Handlers */

export class Follower {
  history;
  replies = new Replies();
  pictures = new Pictures();
  /** @type {Ended | null} */
  ended = null;
  /** @type {Companion | null} */
  companion = null;
  /** @type {Scene | null} */
  scene = null;
  isGone = false;
  /** Whether everything that follows a message by itself, as the reply to it, has been told. */
  isSettled = false;
  /** @type {Map<string, string>} what a message was shown as before it was stored, by its id */
  keys = new Map();

  #conversationId;
  #companionId;
  #live;
  #request;
  #outbox;
  #tell;
  #revision = 0;
  /** @type {"" | string} the event id of the subscription that was not answered yet */
  #asked = "";
  #askedAt = 0;
  #isClosed = false;
  #isRefreshing = false;
  #hasBegun = false;
  #scenes = 0;
  /** @type {Set<string>} event ids */
  #cancels = new Set();
  /** @type {Record<string, ReturnType<typeof setTimeout>>} */
  #timers = {};
  /** @param {Event} event */
  #onFrame = (event) => this.#take(/** @type {CustomEvent<ServerFrame>} */ (event).detail);
  #onState = () => this.#connectionChanged();
  #onDoubt = () => this.#subscribe();

  /**
   * @param {object} given
   * @param {string} given.conversationId
   * @param {string} given.companionId
   * @param {Live} given.live
   * @param {Request} given.request
   * @param {Outbox} given.outbox
   * @param {(event: string, detail?: unknown) => void} given.tell
   */
  constructor({ conversationId, companionId, live, request, outbox, tell }) {
    this.#conversationId = conversationId;
    this.#companionId = companionId;
    this.#live = live;
    this.#request = request;
    this.#outbox = outbox;
    this.#tell = tell;
    this.history = new History(request, conversationId);
  }

  /** Begin; resolves when the messages are there, or could not be read at first. */
  async start() {
    this.#live.addEventListener("frame", this.#onFrame);
    this.#live.addEventListener("state", this.#onState);
    this.#live.addEventListener("doubt", this.#onDoubt);
    this.#live.start();
    void this.readCompanion();
    await this.refresh();
  }

  stop() {
    this.#isClosed = true;
    for (const timer of Object.values(this.#timers)) clearTimeout(timer);
    this.#live.removeEventListener("frame", this.#onFrame);
    this.#live.removeEventListener("state", this.#onState);
    this.#live.removeEventListener("doubt", this.#onDoubt);
    const frame = { type: /** @type {const} */ ("conversation.unsubscribe"), conversation_id: this.#conversationId };
    this.#live.send(frame, { expectsAnswer: false });
  }

  /** Read the messages anew, again and again until that works. */
  async refresh() {
    if (this.#isRefreshing || this.#isClosed || this.isGone) return;
    this.#isRefreshing = true;
    try {
      if (!this.#hasBegun) await this.#begin();
      while (this.history.isStale) await this.#reload();
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#isRefreshing = false;
    }
  }

  /** Where the conversation stands, before its messages are read: what changes meanwhile is then told. */
  async #begin() {
    const { data } = await this.#request("GET", `/api/conversations/${this.#conversationId}`);
    this.#revision = data.revision;
    this.history.end = data.last_position;
    await this.#reload();
    this.#hasBegun = true;
    this.#enter();
  }

  async #reload() {
    const known = new Set(this.history.window.items.map((item) => item.id));
    await this.history.reload();
    for (const item of this.history.window.items) if (!known.has(item.id)) this.#match(item);
    this.#tell("items");
  }

  /** @param {unknown} error */
  #failed(error) {
    const problem = asProblem(error);
    if (problem.status === 404) this.#leave(problem);
    else this.#tell("problem", problem);
    const pause = Math.max(PAUSE, 1000 * (problem.retryAfter ?? 0));
    if (problem.status !== 404 && problem.status !== 401) this.#later("refresh", () => void this.refresh(), pause);
  }

  /**
   * The conversation was deleted, or is somebody else's.
   * @param {Problem} problem
   */
  #leave(problem) {
    this.isGone = true;
    this.history.invalidate();
    this.history.window.replace([], { hasOlder: false, hasNewer: false });
    this.replies = new Replies();
    for (const entry of this.#outbox.waiting) this.#outbox.refuse(entry.eventId, problem);
    for (const event of ["items", "running", "gone"]) this.#tell(event);
    this.#tell("problem", problem);
  }

  #connectionChanged() {
    this.#asked = "";
    this.#tell("connection");
    if (this.#live.state !== "open") return;
    if (this.#hasBegun) void this.readCompanion();
    this.#enter();
    void this.refresh();
  }

  #subscribe() {
    if (!this.#hasBegun || this.#isClosed || this.isGone || this.#asked) return;
    const asked = crypto.randomUUID();
    const place = { conversation_id: this.#conversationId, after: this.history.end, revision: this.#revision };
    if (!this.#live.send({ type: "conversation.subscribe", ...place, event_id: asked })) return;
    this.#asked = asked;
    this.#askedAt = Date.now();
  }

  /** Follow the talk over a new connection, and send what waits. */
  #enter() {
    if (!this.#hasBegun) return;
    this.#subscribe();
    this.#outbox.adopt();
    this.sendWaiting();
  }

  /** Something was missed: rather be told anew than show what is wrong. */
  #subscribeAgain() {
    const sinceLast = Date.now() - this.#askedAt;
    if (sinceLast >= CALM) this.#subscribe();
    else if (!this.#asked) this.#later("subscribe", () => this.#subscribe(), CALM - sinceLast);
  }

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

  /** Read the companion, and with it the scene, unless a frame tells of a later one meanwhile. */
  async readCompanion() {
    const scenes = this.#scenes;
    try {
      const { data } = await this.#request("GET", `/api/companions/${this.#companionId}`);
      this.companion = data;
      if (scenes === this.#scenes) this.scene = data.scene;
      this.#tell("scene");
    } catch (error) {
      this.#tell("problem", asProblem(error));
    }
  }

  /** @param {ServerFrame} frame */
  #take(frame) {
    if (frame.type === "error") this.#refused(frame.error);
    if (!("conversation_id" in frame) || frame.conversation_id !== this.#conversationId || !this.#hasBegun) return;
    if (!Object.hasOwn(this.#handlers, frame.type)) return; // newer than this page
    const handler = /** @type {(frame: TalkFrame) => void} */ (this.#handlers[frame.type]);
    handler(frame);
  }

  /** @type {Handlers} */
  #handlers = {
    "conversation.subscribed": (frame) => this.#subscribed(frame),
    "companion_hub.resync": (frame) => this.#resync(frame),
    "conversation.item.added": (frame) => this.#added(frame),
    "companion_hub.item.updated": (frame) => this.#updated(frame),
    "response.queued": ({ response }) => this.#underWay(response),
    "response.in_progress": ({ response }) => this.#underWay(response),
    "response.output_text.delta": ({ response_id: id, offset, delta }) => {
      if (this.replies.append(id, offset, delta)) this.#grown(id);
      else this.#subscribeAgain();
    },
    "response.output_text.done": ({ response_id: id, text }) => {
      if (this.replies.finish(id, text)) this.#grown(id);
    },
    "response.completed": ({ response }) => this.#hasEnded(response),
    "response.failed": ({ response }) => this.#hasEnded(response),
    "response.cancelled": ({ response }) => this.#hasEnded(response),
    "companion_hub.scene": ({ scene }) => {
      this.#scenes += 1;
      this.scene = scene;
      this.#tell("scene");
    },
    "response.image_generation_call.in_progress": (frame) => {
      this.pictures.progress(frame);
      this.#tell("pictures");
    },
    "response.image_generation_call.completed": ({ response_id: id, image }) => this.#painted(id, image),
    "response.image_generation_call.failed": ({ response_id: id, error }) => {
      this.pictures.fail(id, error);
      this.#tell("pictures");
    },
  };

  /** @param {{last_position: number, revision: number}} frame */
  #subscribed({ last_position: end, revision }) {
    this.#asked = "";
    this.#revision = revision;
    this.#doubt();
    // Never goes back, unless the hub itself did, from a backup.
    if (end < this.history.end) this.#resync({ last_position: end, revision });
  }

  /** @param {{last_position: number, revision: number}} frame */
  #resync({ last_position: end, revision }) {
    this.#revision = revision;
    this.history.invalidate();
    this.history.end = end;
    this.ended = null;
    this.#doubt();
    this.#tell("running");
    void this.refresh();
  }

  /** What was under way may have ended unnoticed: see whether frames tell of it, else ask. */
  #doubt() {
    this.replies.doubt();
    this.pictures.doubt();
    this.#later("check", () => this.#check(), DOUBT);
    this.#settle();
  }

  #settle() {
    this.isSettled = false;
    const settled = () => {
      this.isSettled = true;
      this.#tell("running");
    };
    this.#later("settle", settled, CALM);
  }

  /** @param {AddedFrame} frame */
  #added(frame) {
    const { item, event_id: eventId } = frame;
    // The answer to a message that was sent twice may be ahead of what else was said before it.
    if (eventId === undefined || item.position === this.history.end + 1) {
      this.history.end = Math.max(this.history.end, item.position);
    }
    if (this.ended !== null && item.position >= this.history.end) this.#setEnded(null);
    this.history.note(frame);
    if (eventId !== undefined && this.#outbox.remove(eventId)) this.keys.set(item.id, eventId);
    else if (eventId === undefined) this.#match(item);
    if (item.role === "user") this.#settle();
    this.#stored(item);
  }

  /** @param {UpdatedFrame} frame */
  #updated(frame) {
    this.#revision = frame.revision;
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

  /** @param {Message} item */
  #match(item) {
    const eventId = this.#outbox.match(item);
    if (eventId !== undefined) this.keys.set(item.id, eventId);
  }

  /** @param {Response} response */
  #underWay(response) {
    const target = this.history.window.hasNewer ? undefined : this.history.window.items.findLast(isCompanions);
    this.replies.take(response, target?.id ?? null);
    this.#setEnded(null);
    this.#tell("running");
  }

  /** @param {string} id */
  #grown(id) {
    if (this.replies.running?.id === id) this.#tell("text");
  }

  /** @param {Response} response */
  #hasEnded(response) {
    const wasShown = this.replies.remove(response.id);
    const { id, status, kind, output_text: text, error, image_job_id: jobId } = response;
    if (status === "failed" || status === "cancelled") this.#setEnded({ id, status, kind, text, error });
    if (status === "completed" && jobId && this.pictures.expect(id, jobId)) this.#tell("pictures");
    if (wasShown) this.#tell("running");
  }

  /** @param {Ended | null} ended */
  #setEnded(ended) {
    if (this.ended === ended) return;
    this.ended = ended;
    this.#tell("running");
  }

  /**
   * @param {string} responseId
   * @param {Image} image
   */
  #painted(responseId, image) {
    const type = /** @type {const} */ ("response.image_generation_call.completed");
    this.history.note({ type, conversation_id: this.#conversationId, response_id: responseId, image });
    this.pictures.remove(responseId);
    this.#tell("items");
    this.#tell("pictures");
  }

  /** Ask about what was under way before a gap, and of which nobody has told since. */
  #check() {
    for (const id of this.replies.doubted) void this.#checkReply(id);
    for (const { key, jobId } of this.pictures.doubted) void this.#checkPicture(key, jobId);
  }

  /** @param {string} id */
  async #checkReply(id) {
    const response = await this.#ask(`/api/responses/${id}`);
    if (!this.replies.get(id)?.isDoubted || response === undefined) return;
    if (response === null) this.replies.remove(id);
    else if (response.status === "queued" || response.status === "in_progress") return;
    else this.#hasEnded(response);
    this.#tell("running");
    const picture = this.pictures.all.get(id);
    if (!picture) return;
    this.pictures.doubt();
    void this.#checkPicture(id, picture.jobId);
  }

  /**
   * @param {string} key
   * @param {string} jobId
   */
  async #checkPicture(key, jobId) {
    const job = await this.#ask(`/api/jobs/${jobId}`);
    const isDoubted = this.pictures.doubted.some((picture) => picture.key === key);
    if (!isDoubted || job === undefined) return;
    if (job === null) this.pictures.remove(key);
    else if (job.result) return this.#painted(key, job.result);
    else this.pictures.take(key, key, job);
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

  /** @param {ErrorInfo} error */
  #refused({ code, message, event_id: eventId, retry_after: retryAfter }) {
    const problem = new Problem({ code, detail: message, retryAfter: retryAfter ?? null });
    if (eventId !== undefined && eventId === this.#asked) this.#refusedToFollow(problem);
    else if (eventId && PASSING.includes(code) && this.#outbox.waiting.some((entry) => entry.eventId === eventId)) {
      this.#later("send", () => this.sendWaiting());
    } else if (eventId && this.#outbox.refuse(eventId, problem)) {
      if (code === "conversation_not_found") this.#leave(problem);
    } else if (eventId === undefined || this.#cancels.delete(eventId)) this.#tell("problem", problem);
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

  /** @param {Problem} problem */
  #refusedToFollow(problem) {
    this.#asked = "";
    if (problem.code === "conversation_not_found") this.#leave(problem);
    else this.#later("subscribe", () => this.#subscribe());
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

/** @param {Message} item */
const isCompanions = (item) => item.role === "assistant";

/**
 * @param {unknown} error
 * @returns {Problem}
 */
export function asProblem(error) {
  if (error instanceof Problem) return error;
  return new Problem({ code: "unexpected", detail: error instanceof Error ? error.message : String(error) });
}
