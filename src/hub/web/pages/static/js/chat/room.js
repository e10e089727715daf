/** The chat as a whole: one talk, and the elements that show it. */

import { html, nothing, render } from "../../vendor/lit-html/lit-html.js";
import { Talk } from "../talk.js";
import { _, format } from "../words.js";

/** @import { HubComposer } from "./composer.js" */
/** @import { HubFind } from "./find.js" */
/** @import { HubScene } from "./scene.js" */
/** @import { HubTranscript } from "./transcript.js" */
/** @import { Message } from "../shapes.js" */

/** Milliseconds: a connection that comes back sooner is not worth a word; how long a word stays. */
const PATIENCE = 1_500;
const STAYS = 8_000;

/**
 * What the chat's elements ask of it.
 * @typedef {HubChat} Room
 */

export class HubChat extends HTMLElement {
  conversationId = this.dataset["conversation"] ?? "";
  companionId = this.dataset["companion"] ?? "";
  name = this.dataset["name"] ?? "";
  /** Address of the companion's small picture, or nothing. */
  portrait = this.dataset["portrait"] ?? "";
  /** Characters that a message may have. */
  limit = Number(this.dataset["limit"]);
  talk = new Talk({ conversationId: this.conversationId, companionId: this.companionId });

  #transcript = /** @type {HubTranscript} */ (this.querySelector("hub-transcript"));
  #composer = /** @type {HubComposer} */ (this.querySelector("hub-composer"));
  #find = /** @type {HubFind} */ (this.querySelector("hub-find"));
  #findButton = /** @type {HTMLElement} */ (this.querySelector("[data-act=find]"));
  #menu = /** @type {HTMLElement} */ (this.querySelector("#chat-menu"));
  #isPatient = true;
  #problem = "";
  /** @type {Record<string, ReturnType<typeof setTimeout>>} */
  #timers = {};
  #wasRunning = false;

  connectedCallback() {
    const { talk } = this;
    const scene = /** @type {HubScene} */ (this.querySelector("hub-scene"));
    for (const part of [this.#transcript, this.#composer, this.#find, scene]) part.attach(this);
    talk.addEventListener("connection", () => this.#connection());
    talk.addEventListener("running", () => this.#tell());
    talk.addEventListener("items", () => this.#title());
    talk.addEventListener("gone", () => this.#bar());
    talk.addEventListener("problem", (event) => this.complain(/** @type {CustomEvent} */ (event).detail));
    for (const button of this.querySelectorAll("[data-act=find]")) {
      button.addEventListener("click", () => (this.#find.hidden ? this.openFind() : this.closeFind()));
    }
    this.querySelector("[data-act=help]")?.addEventListener("click", () => this.#help());
    document.addEventListener("keydown", (event) => this.#onKey(event));
    this.#connection();
    void this.#open();
  }

  async #open() {
    const position = Number(this.dataset["message"]);
    await this.talk.open();
    if (position) await this.goTo(position);
  }

  // What the elements ask for

  /**
   * @param {string} content
   * @param {boolean} generateImage
   */
  send(content, generateImage) {
    this.talk.send(content, { generateImage });
    void this.#transcript.toEnd();
  }

  async stop() {
    await this.talk.stop().catch((error) => this.complain(error));
  }

  async paint() {
    await this.talk.picture().catch((error) => this.complain(error));
    await this.#transcript.toEnd();
  }

  /** @param {number} position */
  async goTo(position) {
    if (matchMedia("(width < 64rem)").matches) this.closeFind();
    await this.#transcript.goTo(position).catch((error) => this.complain(error));
  }

  focusLog() {
    this.#transcript.focus();
  }

  editLast() {
    this.#transcript.editLast();
  }

  /** @param {number} pages */
  scrollPages(pages) {
    this.#transcript.scrollPages(pages);
  }

  /**
   * Whether a message is what the companion was asked last.
   * @param {Message} message
   */
  isLastAsked(message) {
    const { items, hasNewer, running } = this.talk;
    return !hasNewer && !running && items.findLast((item) => item.role === "user")?.id === message.id;
  }

  /**
   * Have the companion answer a message that was changed: the answer that it had stays as another text.
   * @param {Message} message
   */
  answerAgain(message) {
    return this.talk.items.at(-1)?.id === message.id ? this.talk.reply() : this.talk.regenerate();
  }

  openFind() {
    this.#menu.hidePopover();
    this.#findButton.setAttribute("aria-expanded", "true");
    this.#find.open();
  }

  closeFind() {
    if (this.#find.hidden) return;
    const hadFocus = this.#find.contains(document.activeElement);
    this.#find.close();
    this.#findButton.setAttribute("aria-expanded", "false");
    if (!hadFocus) return;
    if (this.#findButton.checkVisibility()) this.#findButton.focus();
    else this.#composer.focus();
  }

  /**
   * Ask whether a message is to go: "one", "following", or "" for no.
   * @param {Message} message
   * @returns {Promise<string>}
   */
  askRemoval(message) {
    const dialog = /** @type {HTMLDialogElement} */ (this.#part("ask"));
    const isLast = this.talk.items.at(-1)?.id === message.id && !this.talk.hasNewer;
    dialog.querySelector("[value=following]")?.toggleAttribute("hidden", isLast);
    dialog.returnValue = "";
    dialog.showModal();
    return new Promise((resolve) => {
      dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true });
    });
  }

  /**
   * Say something to those who do not see the page, or to all.
   * @param {string} text
   * @param {{isShown?: boolean}} [options]
   */
  say(text, { isShown = false } = {}) {
    const status = this.#part("status");
    status.textContent = text;
    status.classList.toggle("toast", isShown);
    status.classList.toggle("visually-hidden", !isShown);
    clearTimeout(this.#timers["say"]);
    if (isShown) this.#timers["say"] = setTimeout(() => this.say(""), STAYS / 4);
  }

  /**
   * Say what went wrong.
   * @param {unknown} error
   */
  complain(error) {
    const { status, code } = /** @type {{status?: number, code?: string}} */ (error);
    if (status === 401 || (code === "offline" && this.talk.connection !== "open")) return; // the bar says so
    this.#problem = error instanceof Error ? error.message : String(error);
    clearTimeout(this.#timers["problem"]);
    this.#timers["problem"] = setTimeout(() => {
      this.#problem = "";
      this.#bar();
    }, STAYS);
    this.#bar();
  }

  // What it says by itself

  #connection() {
    const isOpen = this.talk.connection === "open";
    clearTimeout(this.#timers["connection"]);
    if (isOpen) this.#isPatient = true;
    else {
      this.#timers["connection"] = setTimeout(() => {
        this.#isPatient = false;
        this.#bar();
      }, PATIENCE);
    }
    this.#bar();
  }

  #bar() {
    render(this.#news() ?? nothing, this.#part("bar"));
  }

  #news() {
    const { connection, isGone } = this.talk;
    const here = encodeURIComponent(location.pathname);
    if (isGone) return html`${_("This conversation was deleted.")} <a href="/companions">${_("All companions")}</a>`;
    if (connection === "signed-out") {
      return html`${_("You are logged out.")} <a href="/login?next=${here}">${_("Log in")}</a>`;
    }
    if (this.#problem) return html`<span class="problem">${this.#problem}</span>`;
    if (connection === "open" || this.#isPatient) return undefined;
    if (connection === "connecting" && navigator.onLine) return _("Connecting…");
    return _("You are offline. What you write is sent when you are back.");
  }

  #tell() {
    const { running, ended } = this.talk;
    if ((running !== null) === this.#wasRunning) return;
    this.#wasRunning = running !== null;
    const { name } = this;
    if (running) this.say(format(_("%(name)s is typing…"), { name }));
    else if (ended) this.say(ended.error?.message ?? _("Stopped."));
    else this.say(format(_("%(name)s has answered."), { name }));
    if (!running) this.#mark();
  }

  /** A conversation without a title is called by how it began. */
  #title() {
    const { items, hasOlder } = this.talk;
    const first = items.find((item) => item.role === "user");
    if (!first || hasOlder || !this.querySelector("[data-untitled]")) return;
    const words = first.content.slice(0, 80);
    for (const place of this.querySelectorAll("[data-untitled], .talks [aria-current] .talk-title")) {
      place.textContent = words;
      place.removeAttribute("data-untitled");
    }
  }

  #help() {
    const opener = /** @type {HTMLElement} */ (this.querySelector("[popovertarget=chat-menu]"));
    const dialog = /** @type {HTMLDialogElement} */ (this.#part("help"));
    this.#menu.hidePopover();
    dialog.addEventListener("close", () => opener.focus(), { once: true });
    dialog.showModal();
  }

  /** Whoever looks elsewhere sees in the tab's title that there is something new. */
  #mark() {
    if (!document.hidden) return;
    const { title } = document;
    document.title = `● ${title}`;
    document.addEventListener("visibilitychange", () => (document.title = title), { once: true });
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    if (event.defaultPrevented || event.isComposing || this.querySelector("dialog[open]")) return;
    const isWriting = event.target instanceof Element && event.target.matches("input, textarea, select");
    if (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      this.openFind();
    } else if (event.key === "/" && !isWriting) {
      event.preventDefault();
      this.#composer.focus();
    } else if (event.key === "Escape" && !this.querySelector("[popover]:popover-open")) this.#escape();
  }

  #escape() {
    if (!this.#find.hidden) this.closeFind();
    else if (this.talk.running) void this.stop();
  }

  /** @param {string} name */
  #part(name) {
    return /** @type {HTMLElement} */ (this.querySelector(`[data-part=${name}]`));
  }
}
