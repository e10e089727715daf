// Copies what is shown once; a browser that does not let us selects it, to be copied by hand.

import { _ } from "./words.js";

for (const button of document.querySelectorAll("button[data-copies]")) {
    const name = button.getAttribute("data-copies") ?? "";
    const field = /** @type {HTMLInputElement} */ (document.getElementById(name));
    const told = document.getElementById(`${name}-copied`);
    button.removeAttribute("hidden");
    field.addEventListener("focus", () => field.select());
    button.addEventListener("click", async () => {
        let said = _("Copied.");
        try {
            await navigator.clipboard.writeText(field.value);
        } catch {
            field.focus();
            said = _("It is selected. Copy it with your keyboard or by its menu.");
        }
        if (told) told.textContent = said;
    });
}
