import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { FakeHub, FakeStorage, added, settle } from "./fakes.js";
import { clock, opened, sends, sent, useClock, visit } from "./page.js";

useClock();

describe("sending", () => {
    test("shows the message at once, and once only", async () => {
        const hub = new FakeHub();
        const page = await opened(hub);
        const { eventId } = page.talk.send("Hi");
        assert.deepEqual(sent(page).item.content, "Hi");
        assert.equal(page.unsent.eventId, eventId);
        page.socket.tell(added(hub.say("user", "Hi"), eventId));
        assert.deepEqual([page.contents, page.talk.outbox.length], [["Hi"], 0]);
        assert.equal(page.talk.keyOf(page.item(0)), eventId);
        page.socket.tell(added(hub.message(0), eventId));
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
        assert.equal(page.socket.sent[0]?.type, "conversation.subscribe");
        assert.deepEqual(
            sends(page).map((frame) => frame.item.content),
            ["Hi", "And another"],
        );
        assert.equal(sent(page).event_id, eventId);
        page.subscribed();
        page.socket.tell(added(stored)); // the feed does not know who sent it
        assert.deepEqual(
            [page.contents, page.talk.outbox.map((each) => each.content)],
            [["Hi"], ["And another"]],
        );
        page.socket.tell(added(stored, eventId)); // its confirmation
        assert.deepEqual(
            [page.contents, page.talk.outbox.map((each) => each.content)],
            [["Hi"], ["And another"]],
        );
        assert.equal(page.talk.keyOf(page.item(0)), eventId);
    });

    test("goes on after a reload", async () => {
        const [hub, storage] = [new FakeHub(), new FakeStorage()];
        const first = visit(hub, { storage });
        await first.talk.open();
        const { eventId } = first.talk.send("Keep me", { generateImage: true });
        first.close();
        const second = await opened(hub, { storage });
        assert.deepEqual(
            second.talk.outbox.map((each) => each.content),
            ["Keep me"],
        );
        assert.deepEqual([sent(second).event_id, sent(second).response], [eventId, { generate_image: true }]);
        second.socket.tell(added(hub.say("user", "Keep me"), eventId));
        assert.equal(storage.length, 0);
        second.close();
        const third = await opened(hub, { storage });
        assert.deepEqual(
            [third.contents, third.talk.outbox.length, sends(third).length],
            [["Keep me"], 0, 0],
        );
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
        assert.equal(sent(second).event_id, eventId, "it is asked for all the same");
    });

    test("that is refused can be tried again or given up", async () => {
        const [hub, storage] = [new FakeHub(), new FakeStorage()];
        const page = await opened(hub, { storage });
        const { eventId } = page.talk.send("Too fast");
        const error = { code: "too_many_requests", message: "Wait.", event_id: eventId, retry_after: 9 };
        page.socket.tell({ type: "error", error });
        const refused = page.unsent;
        assert.deepEqual(
            [refused.state, refused.problem?.retryAfter, refused.problem?.detail],
            ["refused", 9, "Wait."],
        );
        const reloaded = await opened(hub, { storage });
        assert.deepEqual([reloaded.unsent.state, sends(reloaded).length], ["refused", 0]);
        page.talk.resend(eventId);
        assert.deepEqual(
            sends(page).map((frame) => frame.event_id),
            [eventId, eventId],
        );
        page.socket.tell({ type: "error", error });
        page.talk.drop(eventId);
        assert.deepEqual([page.talk.outbox.length, reloaded.talk.outbox.length, storage.length], [0, 0, 0]);
    });

    test("waits while the hub is not ready", async () => {
        const page = await opened(new FakeHub());
        const { eventId } = page.talk.send("Hi");
        page.socket.tell({
            type: "error",
            error: { code: "not_ready", message: "Later.", event_id: eventId },
        });
        assert.equal(page.unsent.state, "sending");
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
        assert.deepEqual([second.unsent.state, sends(second).length], ["refused", 0]);
        second.talk.resend(eventId);
        assert.notEqual(sent(second).event_id, eventId);
        second.close();
        clock.tick(40 * 24 * 3600 * 1000);
        await opened(hub, { storage });
        assert.equal(storage.length, 0, "nobody came back for it");
    });

    test("that is confirmed ahead of others does not hide those", async () => {
        const hub = new FakeHub().fill(1);
        const page = await opened(hub);
        const { eventId } = page.talk.send("Mine");
        const other = hub.say("user", "from elsewhere");
        page.socket.tell(added(hub.say("user", "Mine"), eventId));
        await page.reconnect();
        assert.equal(page.socket.first("conversation.subscribe").after, 1);
        page.socket.tell(added(other), added(hub.message(2)));
        assert.deepEqual(page.contents, ["message 1", "from elsewhere", "Mine"]);
    });

    test("takes over what other tabs left whenever it comes back", async () => {
        const [hub, storage] = [new FakeHub(), new FakeStorage()];
        const gone = visit(hub, { storage });
        await gone.talk.open();
        const page = await opened(hub, { storage });
        const { eventId } = gone.talk.send("Unsent");
        gone.close();
        await page.reconnect();
        assert.equal(sent(page).event_id, eventId);
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
        assert.equal(sent(other).event_id, eventId);
        assert.equal(other.unsent.content, "Unsent");
    });

    test("refuses what no hub would take", async () => {
        const page = await opened(new FakeHub());
        assert.throws(() => page.talk.send(" \n "), { code: "blank" });
        assert.throws(() => page.talk.send("👍".repeat(100_001)), { code: "too_long" });
        page.talk.send("broken \ud800 text\0");
        assert.equal(sent(page).item.content, "broken \ufffd text");
    });

    test("works without a storage that takes anything", async () => {
        const storage = Object.assign(new FakeStorage(), { isFull: true });
        const page = await opened(new FakeHub(), { storage });
        page.talk.send("Hi");
        assert.equal(sends(page).length, 1);
    });
});
