/** The socket `/api/ws`, which comes back by itself. */

/** @import { ClientFrame, Connection, ServerFrame, Signals } from "./shapes.js" */

const SUBPROTOCOL = "companion-hub.v1";
/** Milliseconds until a lost connection is tried again: about the first, then twice as long, up to the last. */
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 15_000;
/** A connection that lasted this long was a good one: the next pause is the first again. */
const GOOD_AFTER = 5_000;
/** Whatever is sent is answered within this time, else the connection is dead. */
const ANSWER_WITHIN = 15_000;
/** After this much silence a page that comes back into view asks whether the connection still stands. */
const SILENCE = 20_000;

const NOT_SIGNED_IN = 4401;
/** Coming again soon would only be refused again: too big, bad frame, not allowed, too many. */
const SLOW_CODES = [1009, 4400, 4403, 4429];

/**
 * Events: `frame` (detail: the frame), `state` (see {@link Live#state}), `doubt` (after a long sleep: say
 * something, so that a dead connection shows).
 */
export class Live extends EventTarget {
    /** @type {Connection} */
    state = "connecting";
    /** The close code of the last connection, 0 before. */
    code = 0;

    /** @type {WebSocket | null} */
    #socket = null;
    #isWanted = false;
    #failures = 0;
    #openedAt = 0;
    #heardAt = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    #retry;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    #watchdog;
    #url;
    #Socket;
    #signals;
    #wake = () => this.#onWake();
    #lost = () => this.#drop("offline");

    /**
     * @param {object} [given]
     * @param {string} [given.url]
     * @param {typeof globalThis.WebSocket} [given.Socket]
     * @param {Signals | null} [given.signals] the window
     */
    constructor({ url, Socket = globalThis.WebSocket, signals = globalThis.window ?? null } = {}) {
        super();
        this.#url = url ?? globalThis.location?.origin.replace(/^http/, "ws") + "/api/ws";
        this.#Socket = Socket;
        this.#signals = signals;
    }

    /** Connect, and stay connected until {@link stop}. */
    start() {
        if (this.#isWanted) return;
        this.#isWanted = true;
        for (const type of ["online", "pageshow", "visibilitychange"])
            this.#signals?.addEventListener(type, this.#wake);
        this.#signals?.addEventListener("offline", this.#lost);
        this.#connect();
    }

    /** Disconnect. */
    stop() {
        this.#isWanted = false;
        for (const type of ["online", "pageshow", "visibilitychange"])
            this.#signals?.removeEventListener(type, this.#wake);
        this.#signals?.removeEventListener("offline", this.#lost);
        clearTimeout(this.#retry);
        this.#leave();
        this.#become("offline");
    }

    /** Somebody found out over HTTP that the sign-in has ended. */
    signedOut() {
        this.#leave();
        clearTimeout(this.#retry);
        this.#become("signed-out");
    }

    /**
     * Send a frame if the connection is open; tell whether it was.
     * @param {ClientFrame} frame
     * @param {{expectsAnswer?: boolean}} [options]
     */
    send(frame, { expectsAnswer = true } = {}) {
        if (this.state !== "open" || this.#socket === null) return false;
        this.#socket.send(JSON.stringify(frame));
        if (expectsAnswer) this.#watchdog ??= setTimeout(() => this.#drop("connecting"), ANSWER_WITHIN);
        return true;
    }

    #connect() {
        clearTimeout(this.#retry);
        const socket = new this.#Socket(this.#url, SUBPROTOCOL);
        this.#socket = socket;
        // A connection that nobody answers is given up as well.
        this.#watchdog ??= setTimeout(() => this.#drop("offline"), ANSWER_WITHIN);
        socket.addEventListener("message", (event) => {
            if (socket === this.#socket) this.#onMessage(event.data);
        });
        socket.addEventListener("close", (event) => {
            if (socket === this.#socket) this.#onClose(event.code);
        });
    }

    /** @param {unknown} data */
    #onMessage(data) {
        this.#heardAt = Date.now();
        clearTimeout(this.#watchdog);
        this.#watchdog = undefined;
        const frame = frameOf(data);
        if (frame === null) return;
        if (frame.type === "session.created") {
            this.#openedAt = this.#heardAt;
            this.#become("open");
        }
        this.dispatchEvent(new CustomEvent("frame", { detail: frame }));
    }

    /** @param {number} code */
    #onClose(code) {
        this.#leave();
        this.code = code;
        if (code === NOT_SIGNED_IN) this.#become("signed-out");
        else this.#comeAgain(SLOW_CODES.includes(code));
    }

    #comeAgain(slowly = false) {
        if (this.#openedAt && Date.now() - this.#openedAt >= GOOD_AFTER) this.#failures = 0;
        this.#openedAt = 0;
        const pause = slowly ? LONGEST_PAUSE : Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** this.#failures);
        this.#failures += 1;
        clearTimeout(this.#retry);
        // Jitter: after a restart not everybody comes at once.
        this.#retry = setTimeout(
            () => this.#connect(),
            pause * (slowly ? 1 + Math.random() : 0.5 + Math.random() / 2),
        );
        this.#become(this.#failures > 1 || slowly ? "offline" : "connecting");
    }

    /**
     * Give the connection up without waiting for its end, which a dead network would never tell.
     * @param {Connection} state
     */
    #drop(state) {
        if (!this.#isWanted || this.state === "signed-out") return;
        this.#leave();
        this.#comeAgain();
        this.#become(state);
    }

    #leave() {
        const socket = this.#socket;
        this.#socket = null;
        clearTimeout(this.#watchdog);
        this.#watchdog = undefined;
        socket?.close();
    }

    #onWake() {
        if (this.#socket === null) this.#connect();
        else if (this.state === "open" && Date.now() - this.#heardAt > SILENCE)
            this.dispatchEvent(new Event("doubt"));
    }

    /** @param {Connection} state */
    #become(state) {
        if (this.state === state) return;
        this.state = state;
        this.dispatchEvent(new Event("state"));
    }
}

/**
 * @param {unknown} data
 * @returns {ServerFrame | null}
 */
function frameOf(data) {
    try {
        const frame = JSON.parse(String(data));
        return typeof frame?.type === "string" ? frame : null;
    } catch {
        return null;
    }
}
