import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, mock, test } from "node:test";

import { Problem, session } from "../../src/hub/web/pages/static/js/api.js";
import * as fakes from "./fakes.js";
import { FakeHub, FakeStorage, Page, added, begun, delta, done, ended, message, queued, settle } from "./fakes.js";

const clock = mock.timers;
/** @type {Page[]} */
let pages = [];

beforeEach(() => clock.enable({ apis: ["setTimeout", "Date"], now: Date.parse("2026-11-23T12:00:00Z") }));
afterEach(() => {
    for (const page of pages) page.close();
    pages = [];
    clock.reset();
});

function visit(hub, given) {
    const page = new Page(hub, given);
    pages.push(page);
    return page;
}

const opened = (hub, given) => visit(hub, given).open();
const subscriptions = (page) => page.socket.of("conversation.subscribe");
const sends = (page) => page.socket.of("conversation.item.create");
const asked = (hub, words) => hub.log.filter((call) => call.includes(words));

describe("a reply", () => {
    test("grows and becomes a message under the same key", async () => {
        const hub = new FakeHub();
        const page = await opened(hub);
        const said = hub.say("user", "Hi");
        page.socket.tell(added(said), queued("r1"));
        assert.equal(page.talk.running.status, "queued");
        page.socket.tell(begun("r1"), delta("r1", 0, "Hello "), delta("r1", 6, "there"));
        assert.deepEqual({ ...page.talk.running }.text, "Hello there");
        assert.equal(page.events.filter((type) => type === "text").length, 2);
        const reply = hub.say("assistant", "Hello there", { response_id: "r1" });
        page.socket.tell(done("r1", "Hello there"), added(reply));
        assert.equal(page.talk.running, null, "gone with the very frame that brings the message");
        assert.deepEqual(page.contents, ["Hi", "Hello there"]);
        assert.equal(page.talk.keyOf(page.talk.items[1]), "r1");
        page.socket.tell(ended("r1", "completed", "Hello there", { message_id: reply.id }));
        assert.deepEqual(page.contents, ["Hi", "Hello there"]);
    });

    test("counts code points, not what JavaScript counts", async () => {
        const page = await opened(new FakeHub());
        page.socket.tell(begun("r1", "👩‍🚀"), delta("r1", 3, "a👍🏽"), delta("r1", 6, "é!"));
        assert.equal(page.talk.running.text, "👩‍🚀a👍🏽é!");
        assert.equal(subscriptions(page).length, 1);
    });

    for (const [what, offset] of [["a gap", 7], ["an overlap", 3]]) {
        test(`with ${what} is asked for anew, and never shown wrong`, async () => {
            const page = await opened(new FakeHub());
            clock.tick(2000);
            page.socket.tell(begun("r1"), delta("r1", 0, "Hello"), delta("r1", offset, "wrong"));
            assert.equal(page.talk.running.text, "Hello");
            assert.equal(subscriptions(page).length, 2);
            page.socket.tell(delta("r1", 9, "still wrong"));
            assert.equal(subscriptions(page).length, 2, "once is enough");
            page.subscribed();
            page.socket.tell(begun("r1", "Hello my"), delta("r1", 8, " dear"));
            assert.equal(page.talk.running.text, "Hello my dear");
        });
    }

    test("that nobody announced is asked for, but not in a loop", async () => {
        const page = await opened(new FakeHub());
        for (let round = 0; round < 5; round += 1) {
            page.socket.tell(delta("unknown", 5, "x"));
            if (subscriptions(page).length > 1) page.subscribed();
        }
        assert.equal(subscriptions(page).length, 1);
        clock.tick(1000);
        assert.equal(subscriptions(page).length, 2);
    });

    test("begins anew with another attempt", async () => {
        const page = await opened(new FakeHub());
        page.socket.tell(begun("r1"), delta("r1", 0, "Lost words"), queued("r1"));
        assert.equal(page.talk.running.text, "");
        page.socket.tell(begun("r1", "", { attempt: 2 }), delta("r1", 0, "New"));
        assert.equal(page.talk.running.text, "New");
    });

    test("is right in the end even if what came before was not", async () => {
        const page = await opened(new FakeHub());
        page.socket.tell(begun("r1"), delta("r1", 0, "Hxllo"), done("r1", "Hello"));
        assert.equal(page.talk.running.text, "Hello");
    });

    test("that fails may be tried again", async () => {
        const hub = new FakeHub();
        const page = await opened(hub);
        page.socket.tell(added(hub.say("user", "Hi")), begun("r1"), delta("r1", 0, "He"));
        page.socket.tell(ended("r1", "failed", "He", { error: { code: "model", message: "It is away." } }));
        assert.equal(page.talk.running, null);
        assert.equal(page.talk.ended.text, "He");
        assert.equal(page.talk.ended.error.message, "It is away.");
        hub.on.set("POST /api/responses/r1/retry", fakes.response("r1", "queued"));
        await page.talk.retry();
        page.socket.tell(queued("r1", { attempt: 2 }));
        assert.equal(page.talk.ended, null);
        assert.equal(page.talk.running.id, "r1");
    });

    test("waits behind another, and is shown when that one has become a message", async () => {
        const hub = new FakeHub();
        const page = await opened(hub);
        page.socket.tell(added(hub.say("user", "One")), begun("r1"), added(hub.say("user", "Two")), queued("r2"));
        assert.equal(page.talk.running.id, "r1");
        page.socket.tell(added(hub.say("assistant", "1", { response_id: "r1" })));
        assert.equal(page.talk.running.id, "r2");
        page.socket.tell(ended("r1", "completed", "1"));
        assert.equal(page.talk.running.id, "r2");
    });

    test("is stopped over the socket, else over HTTP", async () => {
        const hub = new FakeHub();
        const page = await opened(hub);
        page.socket.tell(begun("r1"));
        await page.talk.stop();
        assert.equal(page.socket.of("response.cancel")[0].response_id, "r1");
        page.socket.end();
        hub.on.set("POST /api/responses/r1/cancel", fakes.response("r1", "cancelled"));
        await page.talk.stop();
        assert.equal(asked(hub, "r1/cancel").length, 1);
    });

    test("that changes a message takes its place", async () => {
        const hub = new FakeHub().fill(2);
        const page = await opened(hub);
        const key = page.talk.keyOf(page.talk.items[1]);
        page.socket.tell(begun("r9", "", { kind: "regenerate" }), delta("r9", 0, "Other"));
        assert.equal(page.talk.running.messageId, "m2");
        const item = { ...hub.messages[1], content: "Other", response_id: "r9", alternative: 2, alternatives: 2 };
        page.socket.tell({ type: "companion_hub.item.updated", item, revision: 1 });
        assert.equal(page.talk.running, null);
        assert.deepEqual(page.contents, ["message 1", "Other"]);
        assert.equal(page.talk.keyOf(page.talk.items[1]), key);
    });

    test("that is missing can be asked for once it is clear that none is on its way", async () => {
        const hub = new FakeHub().fill(1);
        const page = await opened(hub);
        assert.equal(page.talk.canReply, false);
        clock.tick(1000);
        assert.equal(page.talk.canReply, true);
        page.socket.tell(queued("r1"));
        assert.equal(page.talk.canReply, false);
    });
});

describe("a lost connection", () => {
    test("comes back where it was: messages, changes, text", async () => {
        const hub = new FakeHub().fill(2);
        hub.revision = 4;
        const page = await opened(hub);
        page.socket.tell(begun("r1"), delta("r1", 0, "Half of"));
        page.socket.end();
        assert.equal(page.talk.connection, "connecting");
        assert.equal(page.talk.running.text, "Half of", "what was there stays in view");
        const said = hub.say("user", "from elsewhere");
        clock.tick(500);
        page.socket.open();
        await settle();
        const subscription = page.subscribed();
        assert.deepEqual([subscription.after, subscription.revision], [2, 4]);
        const changed = { ...hub.messages[0], content: "edited" };
        page.socket.tell({ type: "companion_hub.item.updated", item: changed, revision: 5 });
        page.socket.tell(added(said), begun("r1", "Half of the"), delta("r1", 11, " text"));
        assert.deepEqual(page.contents, ["edited", "message 2", "from elsewhere"]);
        assert.equal(page.talk.running.text, "Half of the text");
        clock.tick(500);
        assert.deepEqual(asked(hub, "/responses/"), [], "frames told of it: nobody asks");
        await page.reconnect(clock);
        assert.equal(subscriptions(page)[0].revision, 5);
        assert.equal(subscriptions(page)[0].after, 3);
    });

    test("does not keep a reply that became a message meanwhile", async () => {
        const hub = new FakeHub();
        const page = await opened(hub);
        page.socket.tell(begun("r1"), delta("r1", 0, "Half"));
        const reply = hub.say("assistant", "Half and whole", { response_id: "r1" });
        await page.reconnect(clock);
        page.socket.tell(added(reply));
        assert.equal(page.talk.running, null);
        assert.deepEqual(page.contents, ["Half and whole"]);
        assert.equal(page.talk.keyOf(page.talk.items[0]), "r1");
    });

    test("asks about a reply that nobody tells of any more", async () => {
        const hub = new FakeHub();
        const page = await opened(hub);
        page.socket.tell(begun("r1"), delta("r1", 0, "Half"));
        hub.on.set("GET /api/responses/r1", fakes.response("r1", "cancelled", "Half of"));
        await page.reconnect(clock);
        clock.tick(500);
        await settle();
        assert.equal(page.talk.running, null);
        assert.equal(page.talk.ended.text, "Half of");
    });

    test("comes back at once when the network does, and backs off while it does not", async () => {
        const page = await opened(new FakeHub());
        page.window.dispatchEvent(new Event("offline"));
        assert.equal(page.talk.connection, "offline");
        assert.equal(page.sockets[0].isClosed, true);
        page.window.dispatchEvent(new Event("online"));
        assert.equal(page.sockets.length, 2);
        for (let failure = 0; failure < 8; failure += 1) {
            page.socket.end();
            clock.tick(15_000);
        }
        const before = page.sockets.length;
        page.socket.end();
        clock.tick(7_000);
        assert.equal(page.sockets.length, before, "at least half of the longest pause");
        clock.tick(8_000);
        assert.equal(page.sockets.length, before + 1);
    });

    for (const code of [1009, 4400, 4429]) {
        test(`that was closed with ${code} comes back slowly`, async () => {
            const page = await opened(new FakeHub());
            page.socket.end(code);
            clock.tick(14_000);
            assert.equal(page.sockets.length, 1);
            clock.tick(16_000);
            assert.equal(page.sockets.length, 2);
        });
    }

    for (const code of [1001, 1012, 1013]) {
        test(`that was closed with ${code} comes back soon`, async () => {
            const page = await opened(new FakeHub());
            page.socket.end(code);
            clock.tick(500);
            assert.equal(page.sockets.length, 2);
        });
    }

    test("by a sign-out elsewhere stays closed until somebody looks again", async () => {
        const page = await opened(new FakeHub());
        page.socket.end(4401);
        assert.equal(page.talk.connection, "signed-out");
        clock.tick(60_000);
        assert.equal(page.sockets.length, 1);
        page.window.dispatchEvent(new Event("visibilitychange"));
        assert.equal(page.sockets.length, 2);
        await page.connect();
        assert.equal(page.talk.connection, "open");
        session.dispatchEvent(new Event("signed-out"));
        assert.equal(page.talk.connection, "signed-out");
    });

    test("is noticed when nothing is answered any more", async () => {
        const page = await opened(new FakeHub());
        page.talk.send("Hello?");
        clock.tick(15_000);
        assert.equal(page.talk.connection, "connecting");
        clock.tick(500);
        assert.equal(page.sockets.length, 2);
    });
});

describe("a resync", () => {
    test("has the messages read anew", async () => {
        const hub = new FakeHub().fill(3);
        const page = await opened(hub);
        hub.messages.splice(1, 1);
        page.socket.tell({ type: "companion_hub.resync", last_position: 3, revision: 7 });
        await settle();
        assert.deepEqual(page.contents, ["message 1", "message 3"]);
        await page.reconnect(clock);
        assert.deepEqual([subscriptions(page)[0].after, subscriptions(page)[0].revision], [3, 7]);
    });

    test("loses nothing that is said while they are read", async () => {
        const hub = new FakeHub().fill(3);
        const page = await opened(hub);
        const page_before = hub.messages.slice(0, 2).reverse();
        let answer;
        hub.on.set("GET /api/conversations/*", () => new Promise((resolve) => (answer = resolve)));
        page.socket.tell({ type: "companion_hub.resync", last_position: 3, revision: 1 });
        await settle();
        const said = hub.say("user", "meanwhile");
        page.socket.tell(added(said));
        page.socket.tell({ type: "companion_hub.item.updated", item: message(2, "assistant", "changed"), revision: 2 });
        answer({ items: page_before, next_cursor: null });
        await settle();
        assert.deepEqual(page.contents, ["message 1", "changed", "meanwhile"]);
    });

    test("supersedes one before it", async () => {
        const hub = new FakeHub().fill(3);
        const page = await opened(hub);
        const answers = [];
        hub.on.set("GET /api/conversations/*", () => new Promise((resolve) => answers.push(resolve)));
        page.socket.tell({ type: "companion_hub.resync", last_position: 3, revision: 1 });
        await settle();
        page.socket.tell({ type: "companion_hub.resync", last_position: 3, revision: 2 });
        answers[0]({ items: [message(1, "user", "outdated")], next_cursor: null });
        await settle();
        assert.equal(answers.length, 2);
        answers[1]({ items: [message(1, "user", "right")], next_cursor: null });
        await settle();
        assert.deepEqual(page.contents, ["right"]);
    });

    test("is tried until it works", async () => {
        const hub = new FakeHub().fill(1);
        const page = await opened(hub);
        hub.on.set("GET /api/conversations/*", new Problem({ status: 503, code: "not_ready", detail: "Later." }));
        hub.messages[0].content = "changed";
        page.socket.tell({ type: "companion_hub.resync", last_position: 1, revision: 1 });
        await settle();
        assert.equal(page.problems[0].code, "not_ready");
        assert.deepEqual(page.contents, ["message 1"]);
        hub.on.clear();
        clock.tick(3000);
        await settle();
        assert.deepEqual(page.contents, ["changed"]);
    });

    test("that finds no conversation says so", async () => {
        const hub = new FakeHub().fill(1);
        const page = await opened(hub);
        page.talk.send("Are you there?");
        hub.on.set("GET /api/conversations/*", new Problem({ status: 404, code: "conversation_not_found" }));
        page.socket.tell({ type: "companion_hub.resync", last_position: 1, revision: 1 });
        await settle();
        assert.equal(page.talk.isGone, true);
        assert.ok(page.events.includes("gone"));
        assert.deepEqual(page.contents, []);
        assert.equal(page.talk.outbox[0].state, "refused");
    });
});

describe("sending", () => {
    test("shows the message at once, and once only", async () => {
        const hub = new FakeHub();
        const page = await opened(hub);
        const { eventId } = page.talk.send("Hi");
        assert.deepEqual(sends(page)[0].item.content, "Hi");
        assert.equal(page.talk.outbox[0].eventId, eventId);
        page.socket.tell(added(hub.say("user", "Hi"), eventId));
        assert.deepEqual([page.contents, page.talk.outbox.length], [["Hi"], 0]);
        assert.equal(page.talk.keyOf(page.talk.items[0]), eventId);
        page.socket.tell(added(hub.messages[0], eventId));
        assert.deepEqual(page.contents, ["Hi"], "told twice, shown once");
    });

    test("goes on after a lost connection, without doubling what had been stored", async () => {
        const hub = new FakeHub();
        const page = await opened(hub);
        const { eventId } = page.talk.send("Hi");
        const stored = hub.say("user", "Hi");
        page.socket.end();
        page.talk.send("And another");
        clock.tick(1000);
        page.socket.open();
        await settle();
        assert.equal(page.socket.sent[0].type, "conversation.subscribe");
        assert.deepEqual(sends(page).map((frame) => frame.item.content), ["Hi", "And another"]);
        assert.equal(sends(page)[0].event_id, eventId);
        page.subscribed();
        page.socket.tell(added(stored)); // the feed does not know who sent it
        assert.deepEqual([page.contents, page.talk.outbox.map((each) => each.content)], [["Hi"], ["And another"]]);
        page.socket.tell(added(stored, eventId)); // its confirmation
        assert.deepEqual([page.contents, page.talk.outbox.map((each) => each.content)], [["Hi"], ["And another"]]);
        assert.equal(page.talk.keyOf(page.talk.items[0]), eventId);
    });

    test("goes on after a reload", async () => {
        const [hub, storage] = [new FakeHub(), new FakeStorage()];
        const first = visit(hub, { storage });
        await first.talk.open();
        const { eventId } = first.talk.send("Keep me", { generateImage: true });
        first.close();
        const second = await opened(hub, { storage });
        assert.deepEqual(second.talk.outbox.map((each) => each.content), ["Keep me"]);
        assert.deepEqual([sends(second)[0].event_id, sends(second)[0].response], [eventId, { generate_image: true }]);
        second.socket.tell(added(hub.say("user", "Keep me"), eventId));
        assert.equal(storage.length, 0);
        second.close();
        const third = await opened(hub, { storage });
        assert.deepEqual([third.contents, third.talk.outbox.length, sends(third).length], [["Keep me"], 0, 0]);
    });

    test("after a reload does not show twice what had been stored", async () => {
        const [hub, storage] = [new FakeHub(), new FakeStorage()];
        const first = await opened(hub, { storage });
        const { eventId } = first.talk.send("Keep me");
        first.close();
        hub.say("user", "Keep me");
        const second = visit(hub, { storage });
        await second.talk.open();
        assert.deepEqual([second.contents, second.talk.outbox.length], [["Keep me"], 0]);
        await second.connect();
        assert.equal(sends(second)[0].event_id, eventId, "it is asked for all the same");
    });

    test("that is refused can be tried again or given up", async () => {
        const [hub, storage] = [new FakeHub(), new FakeStorage()];
        const page = await opened(hub, { storage });
        const { eventId } = page.talk.send("Too fast");
        const error = { code: "too_many_requests", message: "Wait.", event_id: eventId, retry_after: 9 };
        page.socket.tell({ type: "error", error });
        const [refused] = page.talk.outbox;
        assert.deepEqual([refused.state, refused.problem.retryAfter, refused.problem.detail], ["refused", 9, "Wait."]);
        const reloaded = await opened(hub, { storage });
        assert.deepEqual([reloaded.talk.outbox[0].state, sends(reloaded).length], ["refused", 0]);
        page.talk.resend(eventId);
        assert.deepEqual(sends(page).map((frame) => frame.event_id), [eventId, eventId]);
        page.socket.tell({ type: "error", error });
        page.talk.drop(eventId);
        assert.deepEqual([page.talk.outbox.length, reloaded.talk.outbox.length, storage.length], [0, 0, 0]);
    });

    test("waits while the hub is not ready", async () => {
        const page = await opened(new FakeHub());
        const { eventId } = page.talk.send("Hi");
        page.socket.tell({ type: "error", error: { code: "not_ready", message: "Later.", event_id: eventId } });
        assert.equal(page.talk.outbox[0].state, "sending");
        clock.tick(3000);
        assert.equal(sends(page).length, 2);
    });

    test("does not send by itself what the hub might not know again", async () => {
        const [hub, storage] = [new FakeHub(), new FakeStorage()];
        const first = visit(hub, { storage });
        await first.talk.open();
        const { eventId } = first.talk.send("Yesterday");
        first.close();
        clock.tick(21 * 3600 * 1000);
        const second = await opened(hub, { storage });
        assert.deepEqual([second.talk.outbox[0].state, sends(second).length], ["refused", 0]);
        second.talk.resend(eventId);
        assert.notEqual(sends(second)[0].event_id, eventId);
        second.close();
        clock.tick(40 * 24 * 3600 * 1000);
        await opened(hub, { storage });
        assert.equal(storage.length, 0, "nobody came back for it");
    });

    test("from two tabs is stored and shown once", async () => {
        const [hub, storage] = [new FakeHub(), new FakeStorage()];
        const [one, other] = [await opened(hub, { storage }), await opened(hub, { storage })];
        const { eventId } = one.talk.send("Hi");
        const item = hub.say("user", "Hi");
        other.socket.tell(added(item));
        assert.deepEqual([other.contents, other.talk.outbox.length], [["Hi"], 0]);
        one.socket.tell(added(item, eventId));
        clock.tick(30_000);
        assert.deepEqual([one.contents, one.talk.outbox.length, sends(other).length], [["Hi"], 0, 0]);
    });

    test("is taken over from a tab that is gone", async () => {
        const [hub, storage] = [new FakeHub(), new FakeStorage()];
        const one = visit(hub, { storage });
        await one.talk.open();
        const other = await opened(hub, { storage });
        const { eventId } = one.talk.send("Unsent");
        one.close();
        clock.tick(20_000);
        assert.equal(sends(other)[0].event_id, eventId);
        assert.equal(other.talk.outbox[0].content, "Unsent");
    });

    test("refuses what no hub would take", async () => {
        const page = await opened(new FakeHub());
        assert.throws(() => page.talk.send(" \n "), { code: "blank" });
        assert.throws(() => page.talk.send("👍".repeat(100_001)), { code: "too_long" });
        page.talk.send("broken \ud800 text\0");
        assert.equal(sends(page)[0].item.content, "broken \ufffd text");
    });

    test("works without a storage that takes anything", async () => {
        const storage = new FakeStorage();
        storage.as = () => Object.assign(new FakeStorage(), { setItem() { throw new Error("full"); } });
        const page = await opened(new FakeHub(), { storage });
        page.talk.send("Hi");
        assert.equal(sends(page).length, 1);
    });
});

describe("pictures", () => {
    const progress = (progress, position) => ({
        type: "response.image_generation_call.in_progress", response_id: "r1", job_id: "j1", progress, position,
    });
    const image = { id: "i1", url: "/api/images/i1", width: 8, height: 8 };

    test("come with a message: queue, progress, picture", async () => {
        const hub = new FakeHub();
        const page = await opened(hub);
        page.socket.tell(added(hub.say("assistant", "Look", { response_id: "r1" })));
        page.socket.tell(ended("r1", "completed", "Look", { image_job_id: "j1" }));
        assert.equal(page.talk.pictures.get("r1").progress, 0);
        page.socket.tell(progress(0, 3));
        assert.equal(page.talk.pictures.get("r1").position, 3);
        page.socket.tell(progress(0.5, null));
        assert.equal(page.talk.pictures.get("r1").progress, 0.5);
        page.socket.tell({ type: "response.image_generation_call.completed", response_id: "r1", image });
        assert.equal(page.talk.items[0].image.url, image.url);
        assert.equal(page.talk.pictures.size, 0);
    });

    test("that fail say why", async () => {
        const page = await opened(new FakeHub());
        page.socket.tell(progress(0, 0));
        const error = { code: "image_cancelled", message: "The picture was cancelled." };
        page.socket.tell({ type: "response.image_generation_call.failed", response_id: "r1", error });
        assert.equal(page.talk.pictures.get("r1").error.message, error.message);
    });

    test("that were finished while the connection was away are asked about once", async () => {
        const hub = new FakeHub();
        hub.say("assistant", "Look", { response_id: "r1" });
        const page = await opened(hub);
        page.socket.tell(progress(0.5, null));
        hub.on.set("GET /api/jobs/j1", { id: "j1", status: "completed", progress: 1, position: null, result: image, error: null });
        await page.reconnect(clock);
        clock.tick(500);
        await settle();
        assert.equal(page.talk.items[0].image.url, image.url);
        assert.equal(page.talk.pictures.size, 0);
        assert.equal(asked(hub, "/api/jobs/").length, 1);
    });

    test("of a reply whose end was missed are found", async () => {
        const hub = new FakeHub();
        const page = await opened(hub);
        page.socket.tell(begun("r1"), added(hub.say("assistant", "Look", { response_id: "r1" })));
        hub.on.set("GET /api/responses/r1", fakes.response("r1", "completed", "Look", { image_job_id: "j1" }));
        hub.on.set("GET /api/jobs/j1", { id: "j1", status: "completed", progress: 1, position: null, result: image, error: null });
        await page.reconnect(clock);
        clock.tick(500);
        await settle();
        assert.equal(page.talk.items[0].image.url, image.url);
    });

    test("asked for by themselves are watched until they end", async () => {
        const hub = new FakeHub();
        const page = await opened(hub);
        const job = { id: "j7", status: "queued", progress: 0, position: 1, result: null, error: null, completed_at: null };
        hub.on.set("POST /api/companions/*", job);
        await page.talk.picture("a lake");
        hub.on.set("GET /api/jobs/j7", { ...job, status: "in_progress", progress: 0.4, position: null });
        clock.tick(1000);
        await settle();
        assert.equal(page.talk.pictures.get("j7").progress, 0.4);
        hub.on.set("GET /api/jobs/j7", { ...job, status: "completed", result: image, completed_at: "now" });
        clock.tick(1000);
        await settle();
        assert.equal(page.talk.pictures.get("j7").image.id, "i1");
        clock.tick(10_000);
        await settle();
        assert.equal(asked(hub, "GET /api/jobs/j7").length, 2);
    });

    test("that may not be asked for so often reject", async () => {
        const hub = new FakeHub();
        const page = await opened(hub);
        hub.on.set("POST /api/companions/*", new Problem({ status: 429, code: "too_many_requests", retryAfter: 60 }));
        await assert.rejects(page.talk.picture(), { status: 429, retryAfter: 60 });
    });
});

describe("long talks", () => {
    const positions = (page) => page.talk.items.map((item) => item.position);
    const isWhole = (page) => positions(page).every((position, index, all) => index === 0 || position === all[index - 1] + 1);

    test("are read page by page, and held in a window without holes", async () => {
        const page = await opened(new FakeHub().fill(10_000));
        assert.deepEqual([positions(page)[0], positions(page).at(-1)], [9951, 10_000]);
        for (let load = 0; load < 9; load += 1) await page.talk.loadOlder();
        assert.deepEqual([positions(page)[0], page.talk.items.length], [9501, 400]);
        assert.deepEqual([page.talk.hasOlder, page.talk.hasNewer, isWhole(page)], [true, true, true]);
        await page.talk.loadNewer();
        assert.deepEqual([positions(page).at(-1), page.talk.items.length, isWhole(page)], [9950, 400, true]);
        await page.talk.loadNewer();
        assert.deepEqual([positions(page).at(-1), page.talk.hasNewer], [10_000, false]);
    });

    test("asks for a page once, however often it is wanted", async () => {
        const hub = new FakeHub().fill(200);
        const page = await opened(hub);
        hub.log = [];
        await Promise.all([page.talk.loadOlder(), page.talk.loadOlder(), page.talk.loadOlder()]);
        assert.equal(hub.log.length, 1);
        assert.equal(page.talk.items.length, 100);
    });

    test("jump into the middle, where nothing is appended that does not belong", async () => {
        const hub = new FakeHub().fill(1000);
        const page = await opened(hub);
        await page.talk.goTo(500);
        assert.ok(positions(page).includes(500));
        assert.deepEqual([page.talk.hasOlder, page.talk.hasNewer], [true, true]);
        page.socket.tell(added(hub.say("user", "new at the end")));
        assert.ok(isWhole(page) && positions(page).at(-1) < 1000);
        while (page.talk.hasNewer) await page.talk.loadNewer();
        assert.equal(page.contents.at(-1), "new at the end");
        assert.ok(isWhole(page));
    });

    test("lose nothing that is said while the last page is read", async () => {
        const hub = new FakeHub().fill(200);
        const page = await opened(hub);
        await page.talk.goTo(130);
        const release = hub.hold();
        const known = [...hub.messages];
        hub.on.set("GET /api/conversations/*", () => ({ items: known.slice(-50).reverse(), next_cursor: "more" }));
        const reading = page.talk.loadNewer();
        await settle();
        page.socket.tell(added(hub.say("user", "meanwhile")));
        release();
        await reading;
        assert.equal(page.talk.hasNewer, false);
        assert.equal(page.contents.at(-1), "meanwhile");
        assert.ok(isWhole(page));
    });

    test("find their way over what was taken out", async () => {
        const hub = new FakeHub().fill(1000);
        hub.messages = hub.messages.filter((item) => item.position <= 300 || item.position > 900);
        const page = await opened(hub);
        await page.talk.goTo(280);
        await page.talk.loadNewer();
        await page.talk.loadNewer();
        assert.deepEqual(positions(page).filter((position) => position > 299).slice(0, 3), [300, 901, 902]);
        while (page.talk.hasNewer) await page.talk.loadNewer();
        assert.equal(positions(page).at(-1), 1000);
    });

    test("stay where they are read when a message is taken out", async () => {
        const hub = new FakeHub().fill(1000);
        const page = await opened(hub);
        await page.talk.goTo(500);
        const [first, last] = [positions(page)[0], positions(page).at(-1)];
        hub.messages = hub.messages.filter((item) => item.position !== 501);
        page.socket.tell({ type: "companion_hub.resync", last_position: 1000, revision: 1 });
        await settle();
        assert.ok(positions(page).includes(500) && !positions(page).includes(501));
        assert.ok(positions(page)[0] <= first && positions(page).at(-1) === last);
        assert.equal(page.talk.hasNewer, true);
    });

    test("go to the end when something is said", async () => {
        const hub = new FakeHub().fill(1000);
        const page = await opened(hub);
        await page.talk.goTo(500);
        const { eventId } = page.talk.send("Here I am");
        const said = hub.say("user", "Here I am");
        page.socket.tell(added(said, eventId));
        await settle();
        assert.deepEqual([page.contents.at(-1), page.talk.hasNewer, isWhole(page)], ["Here I am", false, true]);
    });

    test("do not grow beyond the window while they go on", async () => {
        const hub = new FakeHub();
        const page = await opened(hub);
        for (let number = 0; number < 450; number += 1) page.socket.tell(added(hub.say("user", `${number}`)));
        assert.deepEqual([page.talk.items.length, page.talk.hasOlder, page.talk.hasNewer], [400, true, false]);
        await page.talk.loadOlder();
        assert.ok(isWhole(page));
    });
});

describe("everything else", () => {
    test("what changes elsewhere is shown", async () => {
        const hub = new FakeHub().fill(2);
        const page = await opened(hub);
        assert.deepEqual(page.talk.scene, fakes.SCENE);
        page.socket.tell({ type: "companion_hub.scene", scene: { ...fakes.SCENE, location: "the beach" } });
        page.socket.tell({ type: "companion_hub.item.updated", item: message(1, "user", "edited"), revision: 1 });
        page.socket.tell({ type: "companion_hub.of.tomorrow", what: "ever" });
        page.socket.tell({ ...added(message(9, "user", "other")), conversation_id: "another" });
        assert.equal(page.talk.scene.location, "the beach");
        assert.deepEqual(page.contents, ["edited", "message 2"]);
    });

    test("a scene that is told is not overwritten by one that was read before", async () => {
        const hub = new FakeHub();
        let answer;
        const page = await opened(hub);
        hub.on.set("GET /api/companions/*", () => new Promise((resolve) => (answer = resolve)));
        await page.reconnect(clock);
        page.socket.tell({ type: "companion_hub.scene", scene: { ...fakes.SCENE, location: "the beach" } });
        answer({ id: "c", name: "Mira", scene: fakes.SCENE });
        await settle();
        assert.equal(page.talk.scene.location, "the beach");
    });

    test("an edit of what has changed meanwhile is refused", async () => {
        const hub = new FakeHub().fill(1);
        const page = await opened(hub);
        hub.on.set("GET /api/messages/m1", message(1, "user", "another text"));
        await assert.rejects(page.talk.edit(page.talk.items[0], "mine"), { status: 412, code: "stale_edit" });
        hub.on.set("GET /api/messages/m1", message(1, "user", "message 1"));
        let given;
        hub.on.set("PATCH /api/messages/m1", (body, options) => {
            given = [body.content, options.headers["If-Match"]];
            return message(1, "user", "mine");
        });
        await page.talk.edit(page.talk.items[0], "mine");
        assert.deepEqual(given, ["mine", '"1"']);
    });

    test("a page that opens without a connection comes to life with it", async () => {
        const hub = new FakeHub().fill(2);
        hub.on.set("GET*", new Problem({ code: "offline" }));
        const page = visit(hub);
        await page.talk.open();
        assert.deepEqual([page.talk.isLoaded, page.contents], [false, []]);
        page.talk.send("first of all");
        hub.on.clear();
        await page.connectLater(clock);
        assert.deepEqual(page.contents, ["message 1", "message 2"]);
        assert.equal(sends(page).length, 1);
    });

    test("an answer that makes no sense does no harm", async () => {
        const page = await opened(new FakeHub().fill(1));
        page.socket.dispatchEvent(Object.assign(new Event("message"), { data: "{" }));
        page.socket.dispatchEvent(Object.assign(new Event("message"), { data: "null" }));
        page.socket.tell({ type: "error", error: { code: "odd", message: "What?" } });
        assert.equal(page.problems[0].detail, "What?");
        assert.deepEqual(page.contents, ["message 1"]);
    });
});
