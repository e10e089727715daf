/** Searching in the conversation. */

import { html, nothing, render } from "../../vendor/lit-html/lit-html.js";
import { api } from "../api.js";
import { inFull, shortly } from "../times.js";
import { _, format, ngettext } from "../words.js";
import { tool } from "./parts.js";

/** @import { Message } from "../shapes.js" */
/** @import { Room } from "./room.js" */

/** @typedef {{message: Message, snippet: string, highlights: [number, number][]}} Hit */

/** Milliseconds after the last letter. */
const PAUSE = 250;
/** Pages that may be empty before there is something on one. */
const MOST_PAGES = 20;

export class HubFind extends HTMLElement {
  /** @type {Room} */
  #room = /** @type {any} */ (null);
  /** @type {Hit[]} */
  #hits = [];
  /** @type {string | null} */
  #cursor = null;
  #said = "";
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #asking = new AbortController();

  /** @param {Room} room */
  attach(room) {
    this.#room = room;
    this.#render();
  }

  /** Show the field, ready to be written in. */
  open() {
    this.hidden = false;
    this.#field.focus();
    this.#field.select();
  }

  close() {
    this.hidden = true;
    this.#asking.abort();
  }

  get #field() {
    return /** @type {HTMLInputElement} */ (this.querySelector("input"));
  }

  #render() {
    render(
      html`<form role="search" @submit=${(/** @type {Event} */ event) => {
        event.preventDefault();
        void this.#ask();
      }}>
        <div class="row">
          <input type="search" maxlength="200" autocomplete="off" enterkeyhint="search"
            aria-label=${_("Search in this conversation")} placeholder=${_("Search in this conversation")}
            @input=${() => this.#soon()}>
          ${tool("close", _("Close the search"), () => this.#room.closeFind())}
        </div>
        <p class="hint" role="status">${this.#said}</p>
        <ol>${this.#hits.map((hit) => this.#hit(hit))}</ol>
        ${this.#cursor && this.#hits.length
          ? html`<button class="small" type="button" @click=${() => void this.#ask(this.#cursor)}>${_("More")}</button>`
          : nothing}
      </form>`,
      this,
    );
  }

  /** @param {Hit} hit */
  #hit({ message, snippet, highlights }) {
    const author = message.role === "user" ? _("You") : this.#room.name;
    const moment = new Date(message.created_at);
    return html`<li><button class="hit" type="button" @click=${() => void this.#room.goTo(message.position)}>
      <span class="by"><span class="author">${author}</span>
        <time datetime=${message.created_at} title=${inFull(moment)}>${shortly(moment)}</time></span>
      <span>${marked(snippet, highlights)}</span></button></li>`;
  }

  #soon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#ask(), PAUSE);
  }

  /** @param {string | null} [from] the cursor of the page to add; else a new search */
  async #ask(from = null) {
    clearTimeout(this.#timer);
    this.#asking.abort();
    const { signal } = (this.#asking = new AbortController());
    const words = this.#field.value.trim();
    if (!from) [this.#hits, this.#cursor, this.#said] = [[], null, ""];
    if (!words) return this.#render();
    try {
      await this.#read(words, from, signal);
    } catch (error) {
      if (signal.aborted) return;
      this.#said = error instanceof Error ? error.message : String(error);
    }
    this.#render();
  }

  /**
   * @param {string} words
   * @param {string | null} from
   * @param {AbortSignal} signal
   */
  async #read(words, from, signal) {
    const query = new URLSearchParams({ q: words, conversation_id: this.#room.conversationId, limit: "20" });
    const before = this.#hits.length;
    for (let page = 0; page < MOST_PAGES && (page === 0 || from); page += 1) {
      if (from) query.set("cursor", from);
      const { items, next_cursor: next } = await api("GET", `/api/search?${query}`, undefined, { signal });
      signal.throwIfAborted();
      this.#hits = [...this.#hits, ...items];
      from = this.#cursor = next;
      if (this.#hits.length > before) break;
    }
    const { length } = this.#hits;
    const many = format(_("%(number)s messages, and more"), { number: length });
    if (!length) this.#said = _("Nothing was found. Try other words.");
    else this.#said = this.#cursor ? many : ngettext("%(num)d message", "%(num)d messages", length);
  }
}

/**
 * @param {string} text
 * @param {[number, number][]} ranges in code points
 */
function marked(text, ranges) {
  const points = [...text];
  let at = 0;
  const parts = ranges.flatMap(([start, end]) => {
    const before = points.slice(at, start).join("");
    at = end;
    return [before, html`<mark>${points.slice(start, end).join("")}</mark>`];
  });
  return [...parts, points.slice(at).join("")];
}
