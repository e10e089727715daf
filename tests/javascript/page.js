// A page as tests open it: one talk, sockets and a storage of its own, and a clock that the test moves on.

import { afterEach, beforeEach, mock } from "node:test";

import { Live } from "../../src/hub/web/pages/static/js/live.js";
import { Talk } from "../../src/hub/web/pages/static/js/talk.js";
import { COMPANION, CONVERSATION, FakeHub, FakeSocket, FakeStorage, settle, there } from "./fakes.js";

/** @import { Problem } from "../../src/hub/web/pages/static/js/api.js" */

export const clock = mock.timers;
/** @type {Page[]} */
let pages = [];

/** Have each test of a file begin at noon, and its pages closed behind it. */
export function useClock() {
    beforeEach(() => clock.enable({ apis: ["setTimeout", "Date"], now: Date.parse("2026-11-23T12:00:00Z") }));
    afterEach(() => {
        for (const page of pages) page.close();
        pages = [];
        clock.reset();
    });
}

/**
 * Return a page that has not opened its talk yet.
 * @param {FakeHub} hub
 * @param {{storage?: FakeStorage}} [given]
 */
export function visit(hub, given) {
    const page = new Page(hub, given);
    pages.push(page);
    return page;
}

/**
 * @param {FakeHub} hub
 * @param {{storage?: FakeStorage}} [given]
 */
export const opened = (hub, given) => visit(hub, given).open();

/** @param {Page} page */
export const subscriptions = (page) => page.socket.of("conversation.subscribe");
/** @param {Page} page */
export const subscription = (page) => page.socket.first("conversation.subscribe");
/** @param {Page} page */
export const sends = (page) => page.socket.of("conversation.item.create");
/** @param {Page} page */
export const sent = (page) => page.socket.first("conversation.item.create");
/**
 * @param {FakeHub} hub
 * @param {string} words
 */
export const asked = (hub, words) => hub.log.filter((call) => call.includes(words));

/** A page with one talk; `events` lists what it told, `socket` is its newest socket. */
export class Page {
    /** @type {string[]} */
    events = [];
    /** @type {Problem[]} */
    problems = [];
    /** @type {FakeSocket[]} */
    sockets = [];
    window = new EventTarget();

    /**
     * @param {FakeHub} hub
     * @param {{storage?: FakeStorage}} [given]
     */
    constructor(hub, { storage = new FakeStorage() } = {}) {
        this.hub = hub;
        FakeStorage.windows.push(this.window);
        const { sockets, window } = this;
        const Socket = class extends FakeSocket {
            constructor() {
                super();
                sockets.push(this);
            }
        };
        this.live = new Live({
            url: "ws://hub/api/ws",
            Socket: /** @type {any} */ (Socket),
            signals: window,
        });
        const ids = { conversationId: CONVERSATION, companionId: COMPANION };
        this.talk = new Talk({
            ...ids,
            live: this.live,
            request: hub.request,
            signals: window,
            storage: storage.as(window),
        });
        for (const type of [
            "items",
            "text",
            "running",
            "outbox",
            "pictures",
            "scene",
            "connection",
            "gone",
        ]) {
            this.talk.addEventListener(type, () => this.events.push(type));
        }
        this.talk.addEventListener("problem", (told) =>
            this.problems.push(/** @type {CustomEvent} */ (told).detail),
        );
    }

    get socket() {
        return there(this.sockets.at(-1));
    }

    get contents() {
        return this.talk.items.map((item) => item.content);
    }

    get running() {
        return there(this.talk.running ?? undefined);
    }

    get ended() {
        return there(this.talk.ended ?? undefined);
    }

    /** The first message in the outbox. */
    get unsent() {
        return there(this.talk.outbox[0]);
    }

    /** @param {number} index */
    item(index) {
        return there(this.talk.items[index]);
    }

    /** @param {string} key */
    picture(key) {
        return there(this.talk.pictures.get(key));
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

    subscribed() {
        const asked = there(this.socket.of("conversation.subscribe").at(-1));
        this.socket.tell({
            type: "conversation.subscribed",
            last_position: this.hub.lastPosition,
            revision: asked.revision,
        });
        return asked;
    }

    /** Lose the connection, and come back after the pause. */
    async reconnect() {
        this.socket.end();
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
