/** Where the companion is and how it looks, beside the talk. The words come with the page. */

import { nothing, render } from "../../vendor/lit-html/lit-html.js";
import { api } from "../api.js";
import { figure } from "./parts.js";

/** @import { Scene } from "../shapes.js" */
/** @import { Room } from "./room.js" */

export class HubScene extends HTMLElement {
  /** @type {string | undefined} */
  #shown;

  /** @param {Room} room */
  attach(room) {
    const { talk } = room;
    talk.addEventListener("scene", () => talk.scene && this.#words(talk.scene));
    this.querySelector("[data-act=scene]")?.addEventListener("click", () => this.#edit(room));
    this.#dialog.addEventListener("close", () => void this.#save(room));
    for (const event of ["items", "pictures", "scene"]) talk.addEventListener(event, () => this.#picture(room));
  }

  get #dialog() {
    return /** @type {HTMLDialogElement} */ (this.querySelector("dialog"));
  }

  get #fields() {
    return this.#dialog.querySelectorAll("input");
  }

  /** @param {Room} room */
  #edit({ talk }) {
    if (!talk.scene) return;
    for (const field of this.#fields) field.value = talk.scene[/** @type {keyof Scene} */ (field.name)];
    this.#dialog.returnValue = "";
    this.#dialog.showModal();
  }

  /** @param {Room} room */
  async #save(room) {
    if (this.#dialog.returnValue !== "save") return;
    const scene = Object.fromEntries([...this.#fields].map(({ name, value }) => [name, value.trim()]));
    await api("PATCH", `/api/companions/${room.companionId}`, { scene }).catch((error) => room.complain(error));
  }

  /** @param {Scene} scene */
  #words(scene) {
    for (const element of this.querySelectorAll("[data-scene]")) {
      const words = scene[/** @type {keyof Scene} */ (element.getAttribute("data-scene"))];
      if (element.textContent === words) continue;
      element.textContent = words;
      element.classList.remove("is-new");
      void (/** @type {HTMLElement} */ (element).offsetWidth); // the change is shown once more
      element.classList.add("is-new");
    }
    const line = document.querySelector("[data-part=scene-line]");
    if (line) line.textContent = [scene.location, scene.action].filter(Boolean).join(" · ");
  }

  /** @param {Room} room */
  #picture({ talk, name }) {
    const own = [...talk.pictures.values()].findLast((picture) => picture.image)?.image;
    const image = own ?? talk.items.findLast((item) => item.image)?.image ?? talk.companion?.header_image;
    if (image?.id === this.#shown) return;
    this.#shown = image?.id;
    const place = /** @type {HTMLElement} */ (this.querySelector("[data-part=pictures]"));
    render(image ? figure(image, name) : nothing, place);
  }
}

