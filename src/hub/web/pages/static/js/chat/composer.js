/** Where messages are written. The form comes with the page, so that one can write before scripts run. */

import { Problem } from "../api.js";
import { countPoints } from "../replies.js";
import { _, format } from "../words.js";

/** @import { Room } from "./room.js" */

const DRAFT = "hub.draft.";
const numbers = new Intl.NumberFormat(document.documentElement.lang);

export class HubComposer extends HTMLElement {
  /** @type {Room} */
  #room = /** @type {any} */ (null);
  #form = /** @type {HTMLFormElement} */ (this.querySelector("form"));
  #field = /** @type {HTMLTextAreaElement} */ (this.querySelector("textarea"));
  #wantsPicture = /** @type {HTMLInputElement} */ (this.querySelector("[name=picture]"));
  #note = this.#part("note");
  #send = /** @type {HTMLButtonElement} */ (this.#part("send"));
  #stop = this.#part("stop");

  /** @param {Room} room */
  attach(room) {
    this.#room = room;
    this.#field.enterKeyHint = isTouch() ? "enter" : "send";
    if (!this.#field.value) this.#field.value = this.#draft;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#field.addEventListener("input", () => this.#changed());
    this.#field.addEventListener("keydown", (event) => this.#onKey(event));
    this.#stop.addEventListener("click", () => {
      this.focus();
      void room.stop();
    });
    this.querySelector("[data-act=picture]")?.addEventListener("click", () => void this.#paint());
    room.talk.addEventListener("running", () => this.#update());
    room.talk.addEventListener("gone", () => this.toggleAttribute("inert", true));
    this.#changed();
  }

  focus() {
    this.#field.focus({ preventScroll: true });
  }

  get #draft() {
    try {
      return localStorage.getItem(DRAFT + this.#room.conversationId) ?? "";
    } catch {
      return "";
    }
  }

  set #draft(text) {
    try {
      if (text) localStorage.setItem(DRAFT + this.#room.conversationId, text);
      else localStorage.removeItem(DRAFT + this.#room.conversationId);
    } catch {
      // No room, or not allowed: the draft lives as long as the page.
    }
  }

  #changed() {
    this.#draft = this.#field.value;
    if (!CSS.supports("field-sizing", "content")) {
      this.#field.style.blockSize = "auto";
      this.#field.style.blockSize = `${this.#field.scrollHeight + 2}px`;
    }
    this.#update();
  }

  #update() {
    const { limit, talk } = this.#room;
    const length = countPoints(this.#field.value);
    const isBlank = !this.#field.value.trim();
    const isTooLong = length > limit;
    const shown = { number: numbers.format(length), limit: numbers.format(limit) };
    this.#note.textContent = length > limit * 0.9 ? format(_("%(number)s of %(limit)s characters"), shown) : "";
    this.#note.classList.toggle("problem", isTooLong);
    this.#field.setAttribute("aria-invalid", String(isTooLong));
    this.#send.disabled = isTooLong;
    const hadFocus = this.contains(document.activeElement);
    this.#stop.hidden = talk.running === null;
    this.#send.hidden = talk.running !== null && isBlank;
    if (hadFocus && !this.contains(document.activeElement)) this.focus();
  }

  #submit() {
    const content = this.#field.value;
    if (!content.trim() || this.#send.disabled) return;
    try {
      this.#room.send(content, this.#wantsPicture.checked);
    } catch (error) {
      this.#room.complain(error);
      if (error instanceof Problem) return;
      throw error;
    }
    this.#field.value = "";
    this.#wantsPicture.checked = false;
    this.#changed();
    this.focus();
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    if (event.isComposing || event.keyCode === 229) return; // letters that are being put together
    const { key } = event;
    if (key === "Enter" && !event.shiftKey && !event.altKey && !isTouch()) {
      event.preventDefault();
      this.#form.requestSubmit();
    } else if (key === "ArrowUp" && this.#field.value === "") {
      event.preventDefault();
      this.#room.editLast();
    } else if (key === "PageUp" || key === "PageDown") {
      event.preventDefault();
      this.#room.scrollPages(key === "PageUp" ? -1 : 1);
    }
  }

  async #paint() {
    const button = /** @type {HTMLButtonElement} */ (this.querySelector("[data-act=picture]"));
    button.disabled = true;
    await this.#room.paint();
    button.disabled = false;
  }

  /** @param {string} name */
  #part(name) {
    return /** @type {HTMLElement} */ (this.querySelector(`[data-part=${name}]`));
  }
}

/** On a keyboard of glass, Enter begins a new line. */
function isTouch() {
  return matchMedia("(hover: none) and (pointer: coarse)").matches;
}
