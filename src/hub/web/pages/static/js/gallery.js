// The gallery while pictures are being painted, and the viewer's arrow keys.

import { api, Problem } from "./api.js";
import { _, format, ngettext } from "./words.js";

/** @typedef {{prompt: string}} Recipe */
/** @typedef {{id: string, url: string, width: number, height: number, recipe: Recipe | null}} Picture */
/** @typedef {{
 *   status: "queued" | "in_progress" | "completed" | "failed" | "cancelled",
 *   progress: number, position: number | null, result: Picture | null, error: {message: string} | null,
 * }} Job */

// Milliseconds until a job is looked at again, and how many more for each picture that is before it.
const SOON = 1000;
const FOR_EACH_BEFORE = 500;
const AT_MOST = 5000;
const SLOWLY = 10;

/** Whether asking again is of no use: nobody is signed in any more, or there is no such job. @param {unknown} error */
function isOver(error) {
    return error instanceof Problem && [401, 403, 404].includes(error.status);
}

/** Says something once to those who do not see the page. @param {string} text */
function tell(text) {
    const place = document.getElementById("told");
    if (place) place.textContent = text;
}

/** A picture that waits or is being painted, until it is there. */
class Painting extends HTMLElement {
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    #next;

    connectedCallback() {
        if (this.dataset["status"] === "failed") return;
        this.querySelector("form")?.addEventListener("submit", this.#cancel);
        document.addEventListener("visibilitychange", this.#onShown);
        this.#later(0);
    }

    disconnectedCallback() {
        clearTimeout(this.#next);
        document.removeEventListener("visibilitychange", this.#onShown);
    }

    #onShown = () => {
        if (!document.hidden) void this.#look();
    };

    /** @param {number | null} before */
    #later(before) {
        clearTimeout(this.#next);
        const wait = Math.min(AT_MOST, SOON + FOR_EACH_BEFORE * (before ?? 0));
        this.#next = setTimeout(() => void this.#look(), wait);
    }

    async #look() {
        if (document.hidden) return;
        clearTimeout(this.#next);
        try {
            this.#show(await api("GET", `/api/jobs/${this.dataset["job"]}`));
        } catch (error) {
            if (isOver(error)) location.reload();
            else this.#later(SLOWLY); // no network, or a server that restarts: it goes on by itself
        }
    }

    /** @param {SubmitEvent} event */
    #cancel = async (event) => {
        event.preventDefault();
        const button = this.querySelector("button");
        if (button) button.disabled = true;
        try {
            this.#show(await api("POST", `/api/jobs/${this.dataset["job"]}/cancel`));
        } catch (error) {
            if (isOver(error)) location.reload();
            else if (error instanceof Problem) this.#say(error.detail);
        } finally {
            if (button) button.disabled = false;
        }
    };

    /** @param {Job} job */
    #show(job) {
        if (!this.isConnected) return;
        this.dataset["status"] = job.status;
        if (job.status === "completed") this.#hang(job.result);
        else if (job.status === "cancelled") this.#leave(_("It is not painted."));
        else if (job.status === "failed") this.#fail(job.error?.message ?? "");
        else {
            this.#say(standing(job));
            const bar = this.querySelector("progress");
            if (bar) bar.value = job.progress;
            this.#later(job.position);
        }
    }

    /** @param {string} text */
    #say(text) {
        const place = this.querySelector(".standing");
        if (place && place.textContent !== text) place.textContent = text;
    }

    /** @param {string} why */
    #fail(why) {
        this.querySelector("progress")?.remove();
        this.querySelector("form")?.remove();
        this.#say(`${_("It could not be painted.")} ${why}`);
        tell(_("It could not be painted."));
    }

    /** Puts the finished picture in place. @param {Picture | null} picture */
    #hang(picture) {
        const isThere = picture && document.querySelector(`[data-picture="${picture.id}"]`);
        if (!picture || isThere) return this.#leave("");
        const link = document.createElement("a");
        link.className = "frame new";
        link.href = `/images/${picture.id}`;
        link.dataset["picture"] = picture.id;
        const image = document.createElement("img");
        image.src = `${picture.url}?size=thumb`;
        image.width = picture.width;
        image.height = picture.height;
        image.alt = format(_("Picture of %(name)s: %(prompt)s"), {
            name: this.dataset["name"] ?? "",
            prompt: shortened(picture.recipe?.prompt ?? "", 160),
        });
        link.append(image);
        const hadFocus = this.contains(document.activeElement);
        this.replaceWith(link);
        if (hadFocus) link.focus();
        tell(_("The picture is there."));
    }

    /** @param {string} text */
    #leave(text) {
        const tile = this.closest("li");
        const hadFocus = this.contains(document.activeElement);
        (tile ?? this).remove();
        if (hadFocus) document.getElementById("main")?.focus();
        tell(text);
    }
}

/** Says how a job stands. @param {Job} job */
function standing(job) {
    if (job.status !== "queued") return _("Being painted");
    if (!job.position) return _("It is the next");
    return ngettext("%(num)d picture is before it", "%(num)d pictures are before it", job.position);
}

/**
 * Cut a text where a word ends.
 * @param {string} text
 * @param {number} most
 */
function shortened(text, most) {
    if (text.length <= most) return text;
    return `${text.slice(0, text.lastIndexOf(" ", most)) || text.slice(0, most)}...`;
}

document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const target = /** @type {Element} */ (event.target);
    if (target.closest("input, textarea, select, [contenteditable]")) return;
    const rel = { ArrowLeft: "prev", ArrowRight: "next" }[event.key];
    const link = rel && document.querySelector(`.turn a[rel="${rel}"]`);
    if (link) /** @type {HTMLAnchorElement} */ (link).click();
});

customElements.define("hub-painting", Painting);
