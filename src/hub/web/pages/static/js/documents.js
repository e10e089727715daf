// Pages of this server, fetched by a script: the same addresses and forms that a browser uses by itself.

/**
 * @typedef {object} Answer
 * @property {Document | null} page what came, if it is a page
 * @property {string | null} location where the browser is to go on
 * @property {string} address where the page is from, after all redirections
 */

/**
 * Ask for a page. What comes runs no scripts until it is put into this one.
 * @param {string} address
 * @param {{form?: FormData, onSent?: (share: number) => void}} [options] a form to send, and who is told how
 *     much of it is sent, 0 to 1
 * @returns {Promise<Answer | null>} null where the server cannot be reached
 */
export function load(address, { form, onSent } = {}) {
    const request = new XMLHttpRequest();
    request.open(form ? "POST" : "GET", address);
    request.setRequestHeader("X-Requested-With", "XMLHttpRequest");
    request.responseType = "document";
    request.overrideMimeType("text/html"); // an answer without content would be read as XML, and called broken
    if (onSent) {
        request.upload.addEventListener("progress", (event) => {
            if (event.lengthComputable) onSent(event.loaded / event.total);
        });
    }
    return new Promise((resolve) => {
        request.addEventListener("loadend", () => {
            const { status, responseXML: page, responseURL } = request;
            const location = request.getResponseHeader("Location");
            resolve(status ? { page, location, address: responseURL } : null);
        });
        request.send(form ?? null);
    });
}
