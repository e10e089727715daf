// What every page does when scripts run.

import { localTimes } from "./times.js";

localTimes(document);

// A choice of language or theme takes effect at once; its button is for those without scripts.
for (const form of document.querySelectorAll("form.preferences")) {
    form.querySelector("button")?.setAttribute("hidden", "");
    form.addEventListener("change", () => /** @type {HTMLFormElement} */ (form).requestSubmit());
}

// A form that is under way is not sent twice.
document.addEventListener("submit", (event) => {
    const form = /** @type {HTMLFormElement} */ (event.target);
    if (form.method !== "post") return;
    if (form.dataset["sending"] !== undefined) {
        event.preventDefault();
        return;
    }
    form.dataset["sending"] = "";
    window.addEventListener("pageshow", () => delete form.dataset["sending"], { once: true });
});

// What was written and never sent stays in the browser, but not for whoever comes after a log out.
for (const form of document.querySelectorAll('form[action="/logout"]')) {
    form.addEventListener("submit", () => {
        for (const key of Object.keys(localStorage)) {
            if (/^hub\.(draft|outbox)\./.test(key)) localStorage.removeItem(key);
        }
    });
}
