import assert from "node:assert/strict";
import { test } from "node:test";

import { requester } from "../../src/hub/web/pages/static/js/api.js";

/** @param {Response | Error} answer */
function asking(answer) {
    /** @type {RequestInit | undefined} */
    let asked;
    /** @type {typeof globalThis.fetch} */
    const fetch = async (_path, init) => {
        asked = init;
        if (answer instanceof Error) throw answer;
        return answer;
    };
    const events = new EventTarget();
    const signedOut = /** @type {string[]} */ ([]);
    events.addEventListener("signed-out", (event) => signedOut.push(event.type));
    return { request: requester({ fetch, events }), init: () => asked, signedOut };
}

test("a body is sent and read as JSON, with the answer's tag", async () => {
    const { request, init } = asking(new Response('{"a":1}', { headers: { ETag: '"7"' } }));
    const answer = await request("PATCH", "/api/x", { b: 2 }, { headers: { "If-Match": '"6"' } });
    assert.deepEqual(answer, { data: { a: 1 }, etag: '"7"' });
    const headers = new Headers(init()?.headers);
    assert.deepEqual(
        [init()?.body, headers.get("If-Match"), headers.get("Content-Type")],
        ['{"b":2}', '"6"', "application/json"],
    );
});

test("an empty answer is none", async () => {
    const { request, init } = asking(new Response(null, { status: 204 }));
    assert.deepEqual(await request("DELETE", "/api/x"), { data: null, etag: null });
    assert.equal(init()?.body, undefined);
});

test("a refusal says what it says", async () => {
    const body = { type: "/problems/too-many-requests", title: "Too many", detail: "Wait.", status: 429 };
    const { request } = asking(
        new Response(JSON.stringify(body), { status: 429, headers: { "Retry-After": "12" } }),
    );
    const expected = {
        status: 429,
        code: "too_many_requests",
        title: "Too many",
        detail: "Wait.",
        retryAfter: 12,
    };
    await assert.rejects(request("GET", "/api/x"), expected);
});

test("a refusal of somebody else's is one as well", async () => {
    const { request } = asking(new Response("<h1>Bad gateway</h1>", { status: 502 }));
    await assert.rejects(request("GET", "/api/x"), { status: 502, code: "http_502", retryAfter: null });
    await assert.rejects(asking(new Response("<p>")).request("GET", "/api/x"), {
        status: 200,
        code: "bad_answer",
    });
});

test("no answer is a problem of the connection, a withdrawn question is not", async () => {
    await assert.rejects(asking(new TypeError("failed")).request("GET", "/api/x"), {
        status: 0,
        code: "offline",
    });
    const aborted = Object.assign(new Error("aborted"), { name: "AbortError" });
    await assert.rejects(asking(aborted).request("GET", "/api/x"), { name: "AbortError" });
});

test("who is signed out is told", async () => {
    const { request, signedOut } = asking(new Response("{}", { status: 401 }));
    await assert.rejects(request("GET", "/api/x"), { status: 401 });
    assert.deepEqual(signedOut, ["signed-out"]);
});
