/** The part of a conversation that is held: messages by position, without a hole between them. */

/** @import { Image, Message } from "./shapes.js" */

/** Most messages held; beyond it those at the other end go. */
export const WINDOW_LIMIT = 400;

export class MessageWindow {
    /** @type {readonly Message[]} by position; another array whenever something is another */
    items = [];
    /** Whether there are messages before the first, and behind the last. */
    hasOlder = false;
    hasNewer = false;

    /** @returns {Message | undefined} */
    get last() {
        return this.items.at(-1);
    }

    /** @param {string} id */
    find(id) {
        return this.items.find((item) => item.id === id);
    }

    /**
     * Hold these instead.
     * @param {readonly Message[]} items
     * @param {{hasOlder: boolean, hasNewer: boolean}} ends
     */
    replace(items, { hasOlder, hasNewer }) {
        this.items = items;
        this.hasOlder = hasOlder;
        this.hasNewer = hasNewer;
    }

    /**
     * @param {readonly Message[]} items
     * @param {boolean} hasOlder
     */
    addOlder(items, hasOlder) {
        const first = this.items[0]?.position ?? Infinity;
        const all = [...items.filter((item) => item.position < first), ...this.items];
        this.hasOlder = hasOlder;
        this.hasNewer ||= all.length > WINDOW_LIMIT;
        this.items = all.slice(0, WINDOW_LIMIT);
    }

    /**
     * @param {readonly Message[]} items
     * @param {boolean} hasNewer
     */
    addNewer(items, hasNewer) {
        const last = this.last?.position ?? 0;
        this.hasNewer = hasNewer;
        this.#holdNewest([...this.items, ...items.filter((item) => item.position > last)]);
    }

    /**
     * Take what was just said, if the window reaches that far.
     * @param {Message} item
     */
    add(item) {
        if (this.update(item) || this.hasNewer) return;
        const index = this.items.findLastIndex((each) => each.position < item.position) + 1;
        if (index === 0 && this.hasOlder) return;
        this.#holdNewest(this.items.toSpliced(index, 0, item));
    }

    /**
     * Put another state of a message in its place; tell whether it is held.
     * @param {Message} item
     */
    update(item) {
        const index = this.items.findLastIndex((each) => each.id === item.id);
        if (index >= 0) this.items = this.items.with(index, item);
        return index >= 0;
    }

    /**
     * Put a picture to the message that a response wrote.
     * @param {string} responseId
     * @param {Image} image
     */
    picture(responseId, image) {
        const item = this.items.findLast((each) => each.response_id === responseId);
        if (item) this.update({ ...item, image });
    }

    /** @param {Message[]} all */
    #holdNewest(all) {
        this.hasOlder ||= all.length > WINDOW_LIMIT;
        this.items = all.slice(-WINDOW_LIMIT);
    }
}
