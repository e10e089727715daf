// <picture-field>: a file field with a preview, which takes what is dropped or pasted too; and its form,
// sent in the background so that one sees how far it is, and what is typed is never lost.

import { load } from "./documents.js";
import { _, format } from "./words.js";

class PictureField extends HTMLElement {
    /** @type {AbortController | undefined} */
    #until;
    #preview = "";
    /** @type {ChildNode[]} */
    #before = [];

    connectedCallback() {
        this.#until = new AbortController();
        const { signal } = this.#until;
        this.#before = [...this.#frame.childNodes];
        this.#part("[data-ways]").hidden = false;
        this.input.addEventListener("change", () => this.#show(), { signal });
        this.#part("[data-undo]").addEventListener("click", () => this.#take(null), { signal });
        this.#remove?.addEventListener("change", () => this.#onRemove(), { signal });
        this.#frame.addEventListener("click", () => this.input.click(), { signal });
        document.addEventListener("paste", (event) => this.#onPaste(event), { signal });
        for (const kind of /** @type {const} */ (["dragover", "dragleave", "drop"])) {
            document.addEventListener(kind, (event) => this.#onDrag(event), { signal });
        }
        this.#onRemove();
        if (this.input.files?.length) this.#show();
    }

    disconnectedCallback() {
        this.#until?.abort();
        URL.revokeObjectURL(this.#preview);
    }

    get input() {
        return /** @type {HTMLInputElement} */ (this.#part("input[type=file]"));
    }

    /** Whether something is wrong with the picture. */
    get isRefused() {
        return !this.#part("[data-problem]").hidden;
    }

    /**
     * Say what is wrong with the picture, or with an empty sentence that nothing is.
     * @param {string} sentence
     */
    #say(sentence) {
        const problem = this.#part("[data-problem]");
        problem.textContent = sentence;
        problem.hidden = !sentence;
        this.classList.toggle("has-problem", Boolean(sentence));
        this.input.toggleAttribute("aria-invalid", false);
        if (sentence) this.input.setAttribute("aria-invalid", "true");
        this.input.setAttribute("aria-describedby", sentence ? "problem-picture hint-picture" : "hint-picture");
    }

    /**
     * Take a file as if it had been chosen; null: none.
     * @param {File | null} file
     */
    #take(file) {
        const files = new DataTransfer();
        if (file) files.items.add(file);
        this.input.files = files.files;
        this.#show();
    }

    /** Show what is chosen, if it can be taken. */
    #show() {
        const file = this.input.files?.[0];
        const problem = file ? this.#problemOf(file) : "";
        this.#say(problem);
        if (problem) this.input.value = "";
        this.querySelector("[data-again]")?.remove();
        const chosen = problem ? undefined : file;
        this.#part("[data-undo]").hidden = !chosen;
        URL.revokeObjectURL(this.#preview);
        this.#preview = chosen ? URL.createObjectURL(chosen) : "";
        if (!chosen) {
            this.#frame.replaceChildren(...this.#before);
            return;
        }
        if (this.#remove) this.#remove.checked = false;
        this.#onRemove();
        const image = new Image();
        image.alt = format(_("Your picture: %(name)s"), { name: chosen.name });
        image.src = this.#preview;
        image.addEventListener("error", () => this.#onBroken(image));
        this.#frame.replaceChildren(image);
    }

    /** @param {HTMLImageElement} image */
    #onBroken(image) {
        if (!image.isConnected) return; // another one was chosen meanwhile
        this.#take(null);
        this.#say(_("This picture cannot be read; it may be damaged. Please choose another one."));
    }

    /** @param {File} file */
    #problemOf(file) {
        const most = Number(this.dataset["most"]);
        if (!this.input.accept.split(",").includes(file.type)) {
            return _("This kind of file is not taken. Please choose a JPEG, PNG or WebP picture.");
        }
        if (file.size > most) {
            const size = Math.floor(most / 1024 / 1024);
            return format(_("A picture may have up to %(size)s MB. Please choose a smaller one."), { size });
        }
        return file.size ? "" : _("This file is empty. Please choose another one.");
    }

    /** @param {ClipboardEvent} event */
    #onPaste(event) {
        const file = event.clipboardData?.files[0];
        if (!file?.type.startsWith("image/")) return;
        event.preventDefault();
        this.#take(file);
    }

    /** @param {DragEvent} event */
    #onDrag(event) {
        if (!event.dataTransfer?.types.includes("Files")) return;
        event.preventDefault();
        this.classList.toggle("is-awaiting", event.type === "dragover");
        if (event.type === "drop") this.#take(event.dataTransfer.files[0] ?? null);
    }

    #onRemove() {
        this.classList.toggle("is-removing", this.#remove?.checked ?? false);
    }

    get #frame() {
        return this.#part("[data-frame]");
    }

    get #remove() {
        return /** @type {HTMLInputElement | null} */ (this.querySelector("[name=remove_picture]"));
    }

    /** @param {string} selector */
    #part(selector) {
        return /** @type {HTMLElement} */ (this.querySelector(selector));
    }
}

customElements.define("picture-field", PictureField);

document.addEventListener("submit", (event) => {
    const form = /** @type {HTMLFormElement} */ (event.target);
    if (!form.matches("[data-keeps-text]")) return;
    event.preventDefault();
    event.stopImmediatePropagation(); // it is looked after here
    if (!form.matches(".is-sending")) void send(form);
});

/**
 * Send a form, and go where the server says, or show what it says.
 * @param {HTMLFormElement} form
 */
async function send(form) {
    const status = /** @type {HTMLElement} */ (form.querySelector("[data-sending]"));
    const progress = /** @type {HTMLProgressElement} */ (form.querySelector("[data-progress]"));
    const hasPicture = Boolean(form.querySelector("picture-field")?.querySelector("input")?.files?.length);
    form.classList.add("is-sending");
    status.classList.remove("problem");
    status.textContent = _("Saving…");
    progress.hidden = !hasPicture;
    const onSent = (/** @type {number} */ share) => {
        progress.value = share;
        if (hasPicture && share === 1) status.textContent = _("The picture is on the server, being prepared…");
    };
    const address = form.getAttribute("action") ?? ""; // form.action is its field of that name, if it has one
    const answer = await load(address, { form: new FormData(form), onSent });
    if (answer?.location) {
        window.addEventListener("pageshow", () => form.classList.remove("is-sending"), { once: true });
        location.assign(answer.location);
        return;
    }
    const shown = answer?.page?.querySelector("form[data-keeps-text]") && answer.page.querySelector("main");
    if (shown) {
        showAgain(form, shown);
        return;
    }
    form.classList.remove("is-sending");
    progress.hidden = true;
    status.classList.add("problem");
    status.textContent = complaint(answer);
}

/**
 * Put the form that came back in place of the one that was sent, with the picture that was chosen.
 * @param {HTMLFormElement} form
 * @param {Element} shown
 */
function showAgain(form, shown) {
    const sent = /** @type {PictureField | null} */ (form.querySelector("picture-field"));
    document.querySelector("main")?.replaceWith(document.adoptNode(shown));
    const field = /** @type {PictureField | null} */ (document.querySelector("main picture-field"));
    if (sent?.input.files?.length && field && !field.isRefused) {
        field.input.files = sent.input.files;
        field.input.dispatchEvent(new Event("change"));
    }
    const wrong =
        document.querySelector("main [aria-invalid=true]") ?? document.querySelector("main .problem.summary");
    if (wrong instanceof HTMLElement) {
        wrong.scrollIntoView({ block: "center" });
        wrong.focus();
    }
}

/** @param {import("./documents.js").Answer | null} answer */
function complaint(answer) {
    if (!answer) return _("The server cannot be reached. Your text is still here: try again in a moment.");
    if (new URL(answer.address, location.href).pathname === "/login") {
        return _("You are logged out. Log in again in another tab, then save here: your text is still here.");
    }
    return answer.page?.querySelector("h1")?.textContent || _("That did not work. Try again in a moment.");
}
