/** The talk as it is read: it stays at the end while the reader is there, and does not move otherwise. */

import { html, nothing, render } from "../../vendor/lit-html/lit-html.js";
import { repeat } from "../../vendor/lit-html/directives/repeat.js";
import { _, format, ngettext } from "../words.js";
import { entriesOf } from "./entries.js";
import { HubMessage } from "./message.js";
import { icon } from "./parts.js";

/** @import { Entry } from "./message.js" */
/** @import { Room } from "./room.js" */

/** Pixels from the end that still count as being there. */
const NEAR = 32;
/** Older and newer messages are read when no more than this is left to scroll. */
const AHEAD = "900px";
/** Milliseconds that a message is marked. */
const MARKED = 2_500;
const EVENTS = ["items", "running", "outbox", "pictures"];

export class HubTranscript extends HTMLElement {
  /** @type {Room} */
  #room = /** @type {any} */ (null);
  #log = document.createElement("div");
  #isAtEnd = true;
  #lastTop = 0;
  #lastHeight = 0;
  /** Position of the newest message that was here when the reader left the end. */
  #seen = 0;
  #isLoading = false;
  #edges = new IntersectionObserver((found) => this.#onEdge(found), { root: this.#log, rootMargin: AHEAD });
  #sizes = new ResizeObserver(() => this.#follow());

  /** @param {Room} room */
  attach(room) {
    this.#room = room;
    this.replaceChildren(this.#log);
    Object.assign(this.#log, { className: "log", tabIndex: 0 });
    this.#log.setAttribute("role", "log");
    this.#log.setAttribute("aria-label", format(_("Conversation with %(name)s"), { name: room.name }));
    this.#log.addEventListener("scroll", () => this.#onScroll(), { passive: true });
    this.#log.addEventListener("keydown", (event) => {
      if (event.key === "End" && event.target === this.#log) void this.toEnd();
    });
    this.#update();
    this.#sizes.observe(this.#log);
    this.#sizes.observe(/** @type {HTMLElement} */ (this.#log.querySelector(".lines")));
    for (const event of EVENTS) room.talk.addEventListener(event, () => this.#update());
    room.talk.addEventListener("text", () => this.#grow());
  }

  /** Go to the newest message, and stay there. */
  async toEnd() {
    this.#isAtEnd = true;
    if (this.#room.talk.hasNewer) await this.#load(() => this.#room.talk.goToEnd());
    this.#isAtEnd = true;
    this.#update();
  }

  /**
   * Go to a message, and mark it for a moment.
   * @param {number} position
   */
  async goTo(position) {
    await this.#room.talk.goTo(position);
    this.#isAtEnd = false;
    this.#update();
    const found = this.#messages.findLast((each) => (each.entry?.item?.position ?? Infinity) <= position);
    if (!found) return;
    const article = /** @type {HTMLElement} */ (found.firstElementChild);
    article.focus({ preventScroll: true });
    found.classList.add("is-found");
    setTimeout(() => found.classList.remove("is-found"), MARKED);
    // What comes into view for the first time takes the room that it needs, not what was guessed.
    for (let frame = 0; frame < 4; frame += 1) {
      this.#centre(found);
      await new Promise(requestAnimationFrame);
    }
    this.#jumpButton();
  }

  focus() {
    this.#log.focus({ preventScroll: true });
  }

  /**
   * @param {number} pages how far, negative is up
   */
  scrollPages(pages) {
    this.#log.scrollBy({ top: pages * this.#log.clientHeight * 0.9 });
  }

  /** Edit the newest message of the reader. */
  editLast() {
    this.#messages.findLast((each) => each.entry?.isUser && each.entry.item)?.edit();
  }

  get #messages() {
    return /** @type {HubMessage[]} */ ([...this.#log.querySelectorAll("hub-message")]);
  }

  #update() {
    const { talk } = this.#room;
    const place = this.#isAtEnd ? null : this.#place();
    const entries = entriesOf(talk);
    this.#log.setAttribute("aria-busy", String(talk.running !== null));
    render(
      html`<div class="edge edge-older" aria-hidden="true">${talk.hasOlder ? html`<p class="hint">${_("Loading…")}</p>` : nothing}</div>
        ${this.#hint(talk.isLoaded, entries.length)}
        <div class="lines">${repeat(
          entries,
          (entry) => entry.key,
          (entry) => this.#line(entry),
        )}</div>
        <div class="edge edge-newer"></div>`,
      this.#log,
    );
    if (place) this.#keep(place);
    this.#follow();
    this.#jumpButton();
    this.#watchEdges();
  }

  /**
   * @param {boolean} isLoaded
   * @param {number} length
   */
  #hint(isLoaded, length) {
    const { name, talk } = this.#room;
    if (talk.isGone) return nothing;
    if (!isLoaded) return html`<p class="hint">${_("Loading…")}</p>`;
    return length ? nothing : html`<p class="hint">${format(_("Say something to %(name)s."), { name })}</p>`;
  }

  /** @param {Entry} entry */
  #line(entry) {
    return html`<hub-message .room=${this.#room} .entry=${entry}></hub-message>`;
  }

  #grow() {
    const { running } = this.#room.talk;
    if (running === null || this.#room.talk.hasNewer) return;
    const key = running.messageId ?? running.id;
    const isIt = (/** @type {HubMessage} */ each) => each.entry?.key === key || each.entry?.item?.id === key;
    this.#messages.findLast(isIt)?.grow(running.text, () => this.#follow());
  }

  /** The first message in sight, and where it is. */
  #place() {
    const top = this.#log.getBoundingClientRect().top;
    const element = this.#messages.find((each) => each.getBoundingClientRect().bottom > top);
    return element ? { element, top: element.getBoundingClientRect().top } : null;
  }

  /** @param {{element: Element, top: number}} place */
  #keep({ element, top }) {
    if (!element.isConnected) return;
    const moved = element.getBoundingClientRect().top - top;
    if (Math.abs(moved) >= 1) this.#log.scrollTop += moved;
  }

  #follow() {
    if (this.#isAtEnd) this.#log.scrollTop = this.#log.scrollHeight;
    this.#remember();
  }

  /**
   * Put a message in the middle, or its beginning to the top if it is long.
   * @param {Element} element
   */
  #centre(element) {
    const { top, height } = element.getBoundingClientRect();
    const room = Math.max(this.#log.clientHeight - height, 0);
    this.#log.scrollTop += top - this.#log.getBoundingClientRect().top - room / 2;
    this.#remember();
  }

  #remember() {
    this.#lastTop = this.#log.scrollTop;
    this.#lastHeight = this.#log.scrollHeight;
  }

  #onScroll() {
    const { scrollTop, scrollHeight, clientHeight } = this.#log;
    const isNear = scrollHeight - scrollTop - clientHeight < NEAR;
    if (isNear) this.#isAtEnd = !this.#room.talk.hasNewer;
    // Only somebody who scrolls up leaves the end; a line that is added leaves it behind, for a moment.
    else if (scrollTop < this.#lastTop - 1 && scrollHeight >= this.#lastHeight) this.#isAtEnd = false;
    this.#remember();
    this.#jumpButton();
  }

  /** @param {IntersectionObserverEntry[]} found */
  #onEdge(found) {
    const { talk } = this.#room;
    for (const { target, isIntersecting } of found) {
      if (!isIntersecting || this.#isLoading) continue;
      if (target.classList.contains("edge-older") && talk.hasOlder) void this.#load(() => talk.loadOlder());
      else if (target.classList.contains("edge-newer") && talk.hasNewer) void this.#load(() => talk.loadNewer());
    }
  }

  /** @param {() => Promise<void>} read */
  async #load(read) {
    this.#isLoading = true;
    try {
      await read();
    } catch (error) {
      this.#room.complain(error);
      await new Promise((resolve) => setTimeout(resolve, 3000));
    }
    this.#isLoading = false;
    this.#watchEdges();
  }

  /** An observer tells of an edge anew only when it is watched anew. */
  #watchEdges() {
    if (this.#isLoading) return;
    this.#edges.disconnect();
    for (const edge of this.#log.querySelectorAll(".edge")) this.#edges.observe(edge);
  }

  #jumpButton() {
    const { talk } = this.#room;
    const last = talk.items.at(-1)?.position ?? 0;
    const { scrollTop, scrollHeight, clientHeight } = this.#log;
    const isAway = talk.hasNewer || (!this.#isAtEnd && scrollHeight - scrollTop - clientHeight > 160);
    if (!isAway) this.#seen = last;
    const news = talk.hasNewer ? 0 : talk.items.filter((item) => item.position > this.#seen).length;
    const label = news ? ngettext("%(num)d new message", "%(num)d new messages", news) : _("To the newest");
    this.#button.hidden = !isAway;
    render(html`${icon("down")}${label}`, this.#button);
  }

  /** @returns {HTMLButtonElement} */
  get #button() {
    const found = this.querySelector("button.jump");
    if (found) return /** @type {HTMLButtonElement} */ (found);
    const button = Object.assign(document.createElement("button"), { type: "button", className: "jump" });
    button.addEventListener("click", () => {
      void this.toEnd();
      this.focus();
    });
    this.append(button);
    return button;
  }
}
