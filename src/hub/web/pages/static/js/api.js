/** The JSON API, as this page calls it: signed in by the cookie. */

import { _, format } from "./words.js";

/** What was refused, or could not be asked: `status` 0 and `code` "offline" when no server answered. */
export class Problem extends Error {
    /**
     * @param {object} about
     * @param {number} [about.status] HTTP status; 0 when there was no answer, or a frame was refused
     * @param {string} about.code stable, like `too_many_requests`
     * @param {string} [about.title]
     * @param {string} [about.detail] to be shown
     * @param {number | null} [about.retryAfter] seconds
     * @param {{pointer: string, detail: string}[]} [about.errors] parts of a body that are wrong
     */
    constructor({ status = 0, code, title = "", detail = "", retryAfter = null, errors = [] }) {
        super(detail || title || code);
        this.name = "Problem";
        this.status = status;
        this.code = code;
        this.title = title;
        this.detail = detail || title;
        this.retryAfter = retryAfter;
        this.errors = errors;
    }
}

/** Fires `signed-out` when an answer says that nobody is signed in any more. */
export const session = new EventTarget();

/**
 * @typedef {object} Options
 * @property {Record<string, string>} [headers]
 * @property {AbortSignal} [signal]
 */

/** @typedef {{data: any, etag: string | null}} Answer the body; null when it is empty */

/**
 * @callback Request
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body] sent as JSON; undefined sends none
 * @param {Options} [options]
 * @returns {Promise<Answer>}
 */

/**
 * Return what asks the API by `fetch`, and rejects with a {@link Problem} for everything but success.
 * @param {{fetch?: typeof globalThis.fetch, events?: EventTarget}} [given]
 * @returns {Request}
 */
export function requester({ fetch = (...values) => globalThis.fetch(...values), events = session } = {}) {
    return async (method, path, body, { headers = {}, signal } = {}) => {
        /** @type {Record<string, string>} */
        const sent = { Accept: "application/json", ...headers };
        if (body !== undefined) sent["Content-Type"] = "application/json";
        /** @type {RequestInit} */
        const init = { method, headers: sent, cache: "no-cache" };
        if (signal) init.signal = signal;
        if (body !== undefined) init.body = JSON.stringify(body);
        const response = await fetch(path, init).catch((error) => Promise.reject(noAnswer(error)));
        if (response.ok) return { data: await content(response), etag: response.headers.get("ETag") };
        if (response.status === 401) events.dispatchEvent(new Event("signed-out"));
        throw await problemOf(response);
    };
}

/** Ask the API, with the answer's tag for `If-Match`. */
export const request = requester();

/**
 * Ask the API and return the body of its answer.
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @param {Options} [options]
 * @returns {Promise<any>}
 */
export async function api(method, path, body, options) {
    return (await request(method, path, body, options)).data;
}

/** @param {globalThis.Response} response */
async function content(response) {
    const text = await response.text().catch((error) => Promise.reject(noAnswer(error)));
    if (text === "") return null;
    try {
        return JSON.parse(text);
    } catch {
        throw new Problem({
            status: response.status,
            code: "bad_answer",
            detail: _("The server's answer makes no sense."),
        });
    }
}

/** @param {unknown} error */
function noAnswer(error) {
    if (error instanceof Error && error.name === "AbortError") return error;
    return new Problem({
        code: "offline",
        detail: _("The server cannot be reached. Check your connection."),
    });
}

/**
 * @param {globalThis.Response} response
 * @returns {Promise<Problem>}
 */
async function problemOf(response) {
    const told = await response.json().catch(() => ({}));
    const wait = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
    const code = String(told.type ?? "")
        .replace("/problems/", "")
        .replaceAll("-", "_");
    return new Problem({
        status: response.status,
        code: code || `http_${response.status}`,
        title: String(told.title ?? ""),
        detail:
            String(told.detail ?? "") ||
            format(_("The server answered with %(status)d."), { status: response.status }),
        retryAfter: Number.isNaN(wait) ? null : wait,
        errors: Array.isArray(told.errors) ? told.errors : [],
    });
}

/**
 * @param {unknown} error
 * @returns {Problem}
 */
export function asProblem(error) {
    if (error instanceof Problem) return error;
    return new Problem({
        code: "unexpected",
        detail: error instanceof Error ? error.message : String(error),
    });
}
