/** Small parts that several elements of the chat show. */

import { html, nothing } from "../../vendor/lit-html/lit-html.js";
import { _, format, ngettext } from "../words.js";

/** @import { Picture } from "../pictures.js" */
/** @import { Image } from "../shapes.js" */

/** @param {string} name as in chat.css */
export const icon = (name) => html`<span class="icon icon-${name}" aria-hidden="true"></span>`;

/**
 * A button that is an icon.
 * @param {string} name
 * @param {string} label
 * @param {() => void} act
 * @param {boolean} [isDisabled]
 */
export function tool(name, label, act, isDisabled = false) {
  return html`<button class="tool tool-${name}" type="button" title=${label} aria-label=${label} ?disabled=${isDisabled}
    @click=${act}>${icon(name)}</button>`;
}

/**
 * A picture of somebody, as a link to the page about it. It takes its room before it is there.
 * @param {Image} image
 * @param {string} name
 */
export function figure(image, name) {
  const { id, url, width, height } = image;
  const prompt = image.recipe?.["prompt"];
  const alt = typeof prompt === "string" ? prompt : format(_("Picture of %(name)s"), { name });
  const thumb = Math.round((256 * width) / Math.max(width, height, 256));
  return html`<a class="picture" href="/images/${id}"><img src="${url}?size=thumb" loading="lazy" decoding="async"
    srcset="${url}?size=thumb ${thumb}w, ${url} ${width}w" sizes="(width < 40rem) 62vw, 18rem"
    width=${width} height=${height} alt=${alt}></a>`;
}

/**
 * A picture on its way, or why it did not come about.
 * @param {Picture} picture
 * @param {() => void} drop stops it, or takes it out of sight
 */
export function progress({ error, position, progress: share }, drop) {
  if (error) {
    const sentence = error.message || _("The picture was cancelled.");
    return html`<div class="painting failed"><p>${sentence}</p>${tool("close", _("Remove"), drop)}</div>`;
  }
  const waits = ngettext("%(num)d picture before it", "%(num)d pictures before it", position ?? 0);
  const text = position ? waits : _("The picture is being painted…");
  return html`<div class="painting"><p>${text}</p>${tool("close", _("Cancel the picture"), drop)}
    <progress max="1" value=${position === null ? share : nothing} aria-label=${_("Picture")}></progress></div>`;
}

/**
 * Three dots; or words, for those who want nothing to move.
 * @param {string} name
 * @param {boolean} isQueued
 */
export function typing(name, isQueued) {
  const waiting = html`<span class="typing-late">${_("Waiting for the model…")}</span>`;
  return html`<span class="typing"><i></i><i></i><i></i><span class="typing-still">${format(_("%(name)s is typing…"), {
    name,
  })}</span>${isQueued ? waiting : nothing}</span>`;
}
