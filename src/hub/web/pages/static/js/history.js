/** Reads a conversation's messages page by page, while new ones come in. */

import { WINDOW_LIMIT, MessageWindow } from "./window.js";

/** @import { Request } from "./api.js" */
/** @import { AddedFrame, ImageFrame, Message, UpdatedFrame } from "./shapes.js" */

const PAGE = 50;
/** What the hub gives at once at most. */
const LONGEST_PAGE = 1000;

/** @typedef {AddedFrame | UpdatedFrame | ImageFrame} News what changes messages */
/** @typedef {{items: Message[], hasOlder: boolean}} Page oldest first */

export class History {
    window = new MessageWindow();
    /** Position up to which the hub has told of everything. */
    end = 0;
    /** Whether what is held may be wrong, and has to be read anew. */
    isStale = true;
    #request;
    #path;
    /** Pages are read one after the other; another epoch means that what is being read is of no use any more. */
    #epoch = 0;
    /** @type {Promise<void>} */
    #queue = Promise.resolve();
    /** @type {News[]} what came in while a page is being read, which may not know of it */
    #meanwhile = [];
    /** @type {Map<string, Promise<void>>} */
    #asked = new Map();

    /**
     * @param {Request} request
     * @param {string} conversationId
     */
    constructor(request, conversationId) {
        this.#request = request;
        this.#path = `/api/conversations/${conversationId}/messages`;
    }

    /**
     * Take what a frame says about messages.
     * @param {News} news
     */
    note(news) {
        this.#meanwhile.push(news);
        this.#apply(news);
    }

    /** What is held is not how it is any more: {@link reload}. */
    invalidate() {
        this.isStale = true;
        this.#epoch += 1;
        this.#queue = Promise.resolve();
        this.#asked.clear();
    }

    /** Read the held part anew; at first the end. */
    reload() {
        return this.#once("reload", async (end) => {
            const { items, hasNewer } = this.window;
            const limit = Math.max(PAGE, Math.min(items.length, WINDOW_LIMIT));
            const last = this.window.last?.position ?? 0;
            const page = await this.#page({ limit, before: hasNewer ? last + 1 : undefined });
            const isMiddle = hasNewer && page.items.length > 0;
            const shown = isMiddle || !hasNewer ? page : await this.#page({ limit: PAGE });
            return () => {
                this.isStale = false;
                this.#place(shown, isMiddle && last < end);
            };
        });
    }

    /** Read the end. */
    goToEnd() {
        return this.#once("end", async () => {
            const page = await this.#page({ limit: PAGE });
            return () => this.#place(page, false);
        });
    }

    /**
     * Read what is around a position, unless it is held.
     * @param {number} position
     */
    goTo(position) {
        return this.#once(`position ${position}`, async (end) => {
            const [first, last] = [this.window.items[0], this.window.last];
            if (first && last && first.position <= position && position <= last.position) return () => {};
            const above = position + PAGE / 2;
            const page = await this.#page({ limit: PAGE, before: above });
            return () => this.#place(page, above - 1 < end);
        });
    }

    /** Read a page of what is before the first message held. */
    older() {
        return this.#once("older", async () => {
            if (!this.window.hasOlder) return () => {};
            const page = await this.#page({ limit: PAGE, before: this.window.items[0]?.position });
            return () => this.window.addOlder(page.items, page.hasOlder);
        });
    }

    /** Read a page of what is behind the last message held. */
    newer() {
        return this.#once("newer", async (end) => {
            if (!this.window.hasNewer) return () => {};
            let from = this.window.last?.position ?? 0;
            // As many positions as the page has places, so that it cannot leave out any; there may be nothing in them.
            for (let span = PAGE; ; span = LONGEST_PAGE) {
                const page = await this.#page({ limit: span, before: from + span + 1 });
                const items = page.items.filter((item) => item.position > from);
                from += span;
                if (items.length === 0 && from < end) continue;
                const hasNewer = items.length > PAGE || from < end;
                return () => this.window.addNewer(items.slice(0, PAGE), hasNewer);
            }
        });
    }

    /**
     * Queue the reading of a page; while the same waits or is done, it is asked for only once.
     * @param {string} what
     * @param {(end: number) => Promise<() => void>} read returns what puts the page in its place
     */
    #once(what, read) {
        const asked = this.#asked.get(what);
        if (asked) return asked;
        const epoch = this.#epoch;
        const doing = this.#queue.then(() => this.#do(epoch, read));
        const done = doing.finally(() => {
            if (this.#asked.get(what) === done) this.#asked.delete(what);
        });
        this.#asked.set(what, done);
        this.#queue = done.catch(() => {});
        return done;
    }

    /**
     * @param {number} epoch
     * @param {(end: number) => Promise<() => void>} read
     */
    async #do(epoch, read) {
        if (epoch !== this.#epoch) return;
        this.#meanwhile = [];
        const place = await read(this.end);
        if (epoch !== this.#epoch) return;
        place();
        for (const news of this.#meanwhile) this.#apply(news);
        this.#meanwhile = [];
    }

    /**
     * @param {Page} page
     * @param {boolean} hasNewer
     */
    #place({ items, hasOlder }, hasNewer) {
        this.window.replace(items, { hasOlder, hasNewer });
        if (!hasNewer) this.end = Math.max(this.end, this.window.last?.position ?? 0);
    }

    /**
     * @param {{limit: number, before?: number | undefined}} which
     * @returns {Promise<Page>}
     */
    async #page({ limit, before }) {
        const query = before === undefined ? "" : `&before=${before}`;
        const { data } = await this.#request("GET", `${this.#path}?limit=${limit}${query}`);
        return { items: data.items.toReversed(), hasOlder: data.next_cursor !== null };
    }

    /** @param {News} news */
    #apply(news) {
        if (news.type === "conversation.item.added") this.window.add(news.item);
        else if (news.type === "companion_hub.item.updated") this.window.update(news.item);
        else this.window.picture(news.response_id, news.image);
    }
}
