// Questions that have a page of their own, asked on the page that leads to them: <a data-dialog href=...>.

import { load } from "./documents.js";

document.addEventListener("click", (event) => {
    const link = event.target instanceof Element ? event.target.closest("a[data-dialog]") : null;
    const isPlain = event.button === 0 && !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);
    if (!(link instanceof HTMLAnchorElement) || !isPlain) return;
    event.preventDefault();
    void ask(link.href);
});

/**
 * Show a question; where that does not work, go to its page.
 * @param {string} address
 */
async function ask(address) {
    const found = (await load(address))?.page?.querySelector("[data-question]");
    if (!found) {
        location.assign(address);
        return;
    }
    const question = document.adoptNode(found);
    question.classList.remove("card");
    const dialog = document.createElement("dialog");
    const heading = document.createElement("h2");
    const title = question.querySelector("h1");
    heading.id = "dialog-heading";
    heading.textContent = title?.textContent ?? "";
    title?.replaceWith(heading);
    dialog.setAttribute("aria-labelledby", heading.id);
    dialog.append(question);
    document.body.append(dialog);
    dialog.addEventListener("close", () => dialog.remove());
    question.querySelector("[data-close]")?.addEventListener("click", (event) => {
        event.preventDefault();
        dialog.close();
    });
    dialog.showModal();
}
