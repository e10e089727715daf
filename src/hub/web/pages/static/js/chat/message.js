/** One message: what was said, what is being said, or what could not be sent. */

import { html, nothing, render } from "../../vendor/lit-html/lit-html.js";
import { markdown } from "../markdown.js";
import { inFull, shortly } from "../times.js";
import { _, format } from "../words.js";
import { figure, progress, tool, typing } from "./parts.js";

/** @import { Picture } from "../pictures.js" */
/** @import { Image, Message } from "../shapes.js" */
/** @import { Room } from "./room.js" */

/**
 * What is shown in one place of the transcript. Two with equal values look the same.
 * @typedef {object} Entry
 * @property {string} key
 * @property {boolean} isUser
 * @property {Message | null} item null while it is not stored
 * @property {string | null} text what is shown in place of the stored text
 * @property {"" | "sending" | "refused" | "queued" | "in_progress" | "failed" | "cancelled" | "unanswered"} state
 * @property {string} detail why it failed or was refused
 * @property {boolean} canRegenerate
 * @property {boolean} canContinue
 * @property {Image | null} image
 * @property {Picture | null} picture on its way, or failed
 */

export class HubMessage extends HTMLElement {
  /** @type {Room | undefined} set before the first entry */
  room;
  /** @type {Entry | undefined} */
  #entry;
  #isEditing = false;
  #isBusy = false;
  /** @type {string} what went wrong with the last thing that was asked for here */
  #problem = "";
  #frame = 0;

  get entry() {
    return this.#entry;
  }

  set entry(entry) {
    if (entry === undefined || (this.#entry && isSame(this.#entry, entry))) return;
    if (entry.item !== this.#entry?.item) this.#problem = "";
    this.#entry = entry;
    this.#render();
  }

  disconnectedCallback() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
  }

  /**
   * Show what a reply has grown to, at most once a frame; then call.
   * @param {string} text
   * @param {() => void} then
   */
  grow(text, then) {
    if (this.#entry === undefined) return;
    this.#entry = { ...this.#entry, text, state: "in_progress" };
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#render();
      then();
    });
  }

  /** Change what it says, in place. */
  edit() {
    const { item } = this.#entry ?? {};
    if (!item || this.#isEditing) return;
    this.#isEditing = true;
    this.#render();
    const field = /** @type {HTMLTextAreaElement} */ (this.querySelector("textarea"));
    field.value = item.content;
    field.focus();
  }

  #render() {
    const { room } = this;
    if (room === undefined || this.#entry === undefined) return;
    const { isUser, item, state } = this.#entry;
    const author = isUser ? _("You") : room.name;
    const hadFocus = this.contains(document.activeElement);
    const names = ["message", isUser ? "mine" : "theirs", state && `is-${state}`].filter(Boolean).join(" ");
    render(
      html`<article class=${names} tabindex="-1" aria-label=${author}>
        ${isUser ? nothing : portrait(room)}
        <div class="bubble">
          <header class="by"><span class="author">${author}</span> ${item ? when(item) : nothing}</header>
          ${this.#isEditing && item ? this.#form(room, item) : this.#body(room)}
        </div>
        ${this.#below(room)}
      </article>`,
      this,
    );
    // The button that was pressed may be gone.
    if (hadFocus && !this.contains(document.activeElement)) this.#article.focus({ preventScroll: true });
  }

  get #article() {
    return /** @type {HTMLElement} */ (this.firstElementChild);
  }

  /** @param {Room} room */
  #body(room) {
    const { item, text, state, detail, image, picture } = /** @type {Entry} */ (this.#entry);
    const isComing = state === "queued" || state === "in_progress";
    const said = text ?? item?.content ?? "";
    return html`${said ? html`<div class="said">${markdown(said, { isUnfinished: isComing })}</div>` : nothing}
      ${isComing && (state === "queued" || !said) ? typing(room.name, state === "queued") : nothing}
      ${said || (state !== "failed" && state !== "cancelled") ? nothing : html`<p class="said">${fate(state, detail)}</p>`}
      ${image ? figure(image, room.name) : nothing} ${picture ? this.#picture(room, picture) : nothing}`;
  }

  /**
   * @param {Room} room
   * @param {Picture} picture
   */
  #picture(room, picture) {
    if (picture.image) return figure(picture.image, room.name);
    return progress(picture, () => this.#try(() => room.talk.dropPicture(picture.key)));
  }

  /** @param {Room} room */
  #below(room) {
    const { item, state, detail } = /** @type {Entry} */ (this.#entry);
    const problem = this.#problem ? html`<p class="problem" role="alert">${this.#problem}</p>` : nothing;
    if (state === "failed" || state === "cancelled" || state === "unanswered") {
      return html`${this.#again(room)}${problem}${item ? this.#tools(room, item) : nothing}`;
    }
    if (state === "sending") return html`<p class="fate">${_("Sent when you are online again")}</p>`;
    if (state === "refused") return this.#refused(room, detail);
    return html`${problem}${item && !this.#isEditing ? this.#tools(room, item) : nothing}`;
  }

  /** @param {Room} room */
  #again({ talk }) {
    const { item, text, state, detail } = /** @type {Entry} */ (this.#entry);
    const why = text || item ? fate(state, detail) : "";
    const label = state === "unanswered" ? _("Ask for an answer") : _("Try again");
    const act = () => this.#try(() => (state === "unanswered" ? talk.reply() : talk.retry()));
    return html`<p class="fate">${why ? html`<span>${why}</span>` : nothing}
      <button class="small" type="button" ?disabled=${this.#isBusy} @click=${act}>${label}</button></p>`;
  }

  /**
   * @param {Room} room
   * @param {string} detail
   */
  #refused(room, detail) {
    const { key } = /** @type {Entry} */ (this.#entry);
    const drop = () => {
      room.focusLog();
      room.talk.drop(key);
    };
    return html`<p class="fate"><span class="problem">${detail}</span>
      <button class="small" type="button" @click=${() => room.talk.resend(key)}>${_("Send again")}</button>
      <button class="small" type="button" @click=${drop}>${_("Remove")}</button></p>`;
  }

  /**
   * @param {Room} room
   * @param {Message} item
   */
  #tools(room, item) {
    const { canRegenerate, canContinue } = /** @type {Entry} */ (this.#entry);
    const { talk } = room;
    return html`<div class="tools" role="group" aria-label=${_("What to do with this message")}>
      ${item.alternatives > 1 ? this.#switcher(room, item) : nothing}
      ${canRegenerate
        ? tool("regenerate", _("Answer differently"), () => this.#try(() => talk.regenerate()), this.#isBusy)
        : nothing}
      ${canContinue ? tool("continue", _("Go on"), () => this.#try(() => talk.continue()), this.#isBusy) : nothing}
      ${tool("copy", _("Copy"), () => void this.#copy(room, item))} ${tool("edit", _("Edit"), () => this.edit())}
      ${tool("delete", _("Delete"), () => void this.#remove(room, item))}
    </div>`;
  }

  /**
   * @param {Room} room
   * @param {Message} item
   */
  #switcher({ talk }, item) {
    const { alternative: number, alternatives: all } = item;
    const choose = (/** @type {number} */ other) => this.#try(() => talk.choose(item, other));
    return html`<span class="switcher">
      ${tool("before", _("The text before"), () => choose(number - 1), number <= 1 || this.#isBusy)}
      <span class="visually-hidden">${format(_("Text %(number)d of %(all)d"), { number, all })}</span>
      <span aria-hidden="true">${number}/${all}</span>
      ${tool("next", _("The next text"), () => choose(number + 1), number >= all || this.#isBusy)}
    </span>`;
  }

  /**
   * @param {Room} room
   * @param {Message} item
   */
  #form(room, item) {
    const save = (/** @type {boolean} */ andAnswer) => void this.#save(room, item, andAnswer);
    const onKey = (/** @type {KeyboardEvent} */ event) => {
      if (event.isComposing) return;
      if (event.key === "Escape") this.#close(event);
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) save(false);
    };
    const isAsked = item.role === "user" && room.isLastAsked(item);
    return html`<form class="edit" @keydown=${onKey} @submit=${(/** @type {Event} */ event) => {
      event.preventDefault();
      save(false);
    }}>
      <textarea rows=${Math.min(12, Math.ceil(item.content.length / 50) + 1)} aria-label=${_("Text of the message")} required></textarea>
      ${this.#problem ? html`<p class="problem" role="alert">${this.#problem}</p>` : nothing}
      <div class="edit-row">
        <button class="primary small" ?disabled=${this.#isBusy}>${_("Save")}</button>
        ${isAsked
          ? html`<button class="small" type="button" ?disabled=${this.#isBusy} @click=${() => save(true)}>
              ${_("Save and answer again")}</button>`
          : nothing}
        <button class="small quiet" type="button" @click=${(/** @type {Event} */ event) => this.#close(event)}>
          ${_("Cancel")}</button>
      </div>
    </form>`;
  }

  /** @param {Event} [event] */
  #close(event) {
    event?.stopPropagation();
    this.#isEditing = false;
    this.#problem = "";
    this.#render();
    /** @type {HTMLElement | null} */ (this.querySelector(".tool-edit"))?.focus({ preventScroll: true });
  }

  /**
   * @param {Room} room
   * @param {Message} item
   * @param {boolean} andAnswer
   */
  async #save(room, item, andAnswer) {
    const { value } = /** @type {HTMLTextAreaElement} */ (this.querySelector("textarea"));
    if (!value.trim()) return;
    const isDone = await this.#try(async () => value === item.content || (await room.talk.edit(item, value)));
    if (!isDone) return;
    this.#close();
    if (andAnswer) await this.#try(() => room.answerAgain(item));
  }

  /**
   * @param {Room} room
   * @param {Message} item
   */
  async #copy(room, item) {
    await copy(item.content);
    room.say(_("Copied."), { isShown: true });
  }

  /**
   * @param {Room} room
   * @param {Message} item
   */
  async #remove(room, item) {
    const choice = await room.askRemoval(item);
    const following = choice === "following";
    if (!choice || !(await this.#try(() => room.talk.remove(item, { following })))) return;
    room.focusLog();
    room.say(_("Deleted."));
  }

  /**
   * Do something once at a time; tell whether it worked, else show why not.
   * @param {() => unknown} act
   */
  async #try(act) {
    if (this.#isBusy) return false;
    this.#isBusy = true;
    this.#problem = "";
    this.#render();
    try {
      await act();
      return true;
    } catch (error) {
      this.#problem = error instanceof Error ? error.message : String(error);
      return false;
    } finally {
      this.#isBusy = false;
      this.#render();
    }
  }
}

/** @param {Room} room */
function portrait({ portrait: url, name }) {
  if (url) return html`<img class="portrait" src=${url} alt="" width="36" height="36" loading="lazy">`;
  return html`<span class="portrait letter" aria-hidden="true">${[...name][0]?.toUpperCase()}</span>`;
}

/**
 * @param {string} state
 * @param {string} detail
 */
function fate(state, detail) {
  if (state === "unanswered") return "";
  return state === "cancelled" ? _("Stopped.") : detail;
}

/** @param {Message} item */
function when({ created_at: created, edited_at: edited }) {
  const moment = new Date(created);
  const change = edited ? html` · <span title=${inFull(new Date(edited))}>${_("edited")}</span>` : nothing;
  return html`<time datetime=${created} title=${inFull(moment)}>${shortly(moment)}</time>${change}`;
}

/** @param {string} text */
async function copy(text) {
  // Pages that did not come over https have no clipboard.
  if (navigator.clipboard) return navigator.clipboard.writeText(text).catch(() => {});
  const field = document.createElement("textarea");
  field.className = "visually-hidden";
  field.value = text;
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}

/**
 * @param {Entry} one
 * @param {Entry} other
 */
function isSame(one, other) {
  return Object.entries(other).every(([name, value]) => one[/** @type {keyof Entry} */ (name)] === value);
}
