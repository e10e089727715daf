/** What the transcript shows of a talk. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { entriesOf } from "../../src/hub/web/pages/static/js/chat/entries.js";

/** @import { Talk } from "../../src/hub/web/pages/static/js/talk.js" */

const image = { id: "p", url: "/api/images/p", width: 64, height: 96 };

/** @param {Record<string, unknown>} [values] */
function said(values) {
  return { id: "m1", role: "user", content: "Hello", response_id: null, image: null, ...values };
}

const question = said();
const answer = said({ id: "m2", role: "assistant", content: "Moss.", response_id: "r1", image });

/**
 * What is shown of a talk; `keep` are the fields to look at.
 * @param {Record<string, unknown>} values
 * @param {string[]} keep
 */
function shown(values, keep) {
  const talk = { items: [], running: null, ended: null, outbox: [], pictures: new Map(), ...values };
  const like = /** @type {Talk} */ (
    /** @type {unknown} */ ({ hasNewer: false, canReply: false, keyOf: (/** @type {any} */ item) => item.id, ...talk })
  );
  return entriesOf(like).map((entry) => keep.map((name) => Reflect.get(entry, name)));
}

test("only the last answer can be written anew or be gone on with", () => {
  const tools = ["key", "canRegenerate", "canContinue"];
  const both = [["m1", false, false], ["m2", true, true]];
  assert.deepEqual(shown({ items: [question, answer] }, tools), both);
  assert.deepEqual(shown({ items: [answer] }, tools), [["m2", false, true]], "a greeting answers nothing");
  const none = [["m1", false, false], ["m2", false, false]];
  assert.deepEqual(shown({ items: [question, answer], hasNewer: true }, tools), none);
});

test("a reply comes behind the last message, and what is changed stays in its place", () => {
  const fields = ["key", "state", "text", "image"];
  const running = { id: "r2", status: "in_progress", kind: "reply", text: "Mo", messageId: null };
  const told = [["m1", "", null, null], ["r2", "in_progress", "Mo", null]];
  assert.deepEqual(shown({ items: [question], running }, fields), told);
  const items = [question, answer];
  const anew = { ...running, kind: "regenerate", messageId: "m2", text: "" };
  assert.deepEqual(shown({ items, running: anew }, fields)[1], ["m2", "in_progress", "", null]);
  const more = { ...anew, kind: "continue" };
  assert.deepEqual(shown({ items, running: more }, fields)[1], ["m2", "in_progress", null, image]);
});

test("what did not work can be tried again where it stands", () => {
  const fields = ["key", "state", "detail", "text"];
  const ended = { id: "r2", status: "failed", kind: "reply", text: "Mo", error: { code: "x", message: "No." } };
  assert.deepEqual(shown({ items: [question], ended }, fields)[1], ["r2", "failed", "No.", "Mo"]);
  const items = [question, answer];
  const changed = { ...ended, kind: "regenerate", status: "cancelled" };
  assert.deepEqual(shown({ items, ended: changed }, fields)[1], ["m2", "cancelled", "No.", null]);
  assert.deepEqual(shown({ items: [question], canReply: true }, fields), [["m1", "unanswered", "", null]]);
});

test("what waits and what is painted comes last, and not while older messages are read", () => {
  const outbox = [{ eventId: "e", content: "Wait", state: "refused", problem: { detail: "Too much." } }];
  const picture = { key: "j", responseId: null, error: null };
  const own = { key: "r1", responseId: "r1", error: null };
  const pictures = new Map(Object.entries({ r1: own, j: picture }));
  const all = { items: [question, answer], outbox, pictures };
  const fields = ["key", "isUser", "text", "detail", "picture"];
  assert.deepEqual(shown(all, fields), [
    ["m1", true, null, "", null],
    ["m2", false, null, "", own],
    ["e", true, "Wait", "Too much.", null],
    ["j", false, null, "", picture],
  ]);
  assert.equal(shown({ ...all, hasNewer: true }, fields).length, 2);
});
