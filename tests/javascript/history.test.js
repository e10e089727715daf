import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { Problem } from "../../src/hub/web/pages/static/js/api.js";
import { FakeHub, added, message, settle } from "./fakes.js";
import { clock, opened, subscription, useClock } from "./page.js";

/** @import { Page } from "./page.js" */

useClock();

describe("a resync", () => {
    test("has the messages read anew", async () => {
        const hub = new FakeHub().fill(3);
        const page = await opened(hub);
        hub.messages.splice(1, 1);
        page.socket.tell({ type: "companion_hub.resync", last_position: 3, revision: 7 });
        await settle();
        assert.deepEqual(page.contents, ["message 1", "message 3"]);
        await page.reconnect();
        assert.deepEqual([subscription(page).after, subscription(page).revision], [3, 7]);
    });

    test("loses nothing that is said while they are read", async () => {
        const hub = new FakeHub().fill(3);
        const page = await opened(hub);
        const before = hub.messages.slice(0, 2).reverse();
        const answer = hub.delay("GET /api/conversations/*");
        page.socket.tell({ type: "companion_hub.resync", last_position: 3, revision: 1 });
        await settle();
        const said = hub.say("user", "meanwhile");
        page.socket.tell(added(said));
        page.socket.tell({
            type: "companion_hub.item.updated",
            item: message(2, "assistant", "changed"),
            revision: 2,
        });
        answer({ items: before, next_cursor: null });
        await settle();
        assert.deepEqual(page.contents, ["message 1", "changed", "meanwhile"]);
    });

    test("supersedes one before it", async () => {
        const hub = new FakeHub().fill(3);
        const page = await opened(hub);
        const answer = hub.delay("GET /api/conversations/*");
        page.socket.tell({ type: "companion_hub.resync", last_position: 3, revision: 1 });
        await settle();
        page.socket.tell({ type: "companion_hub.resync", last_position: 3, revision: 2 });
        answer({ items: [message(1, "user", "outdated")], next_cursor: null });
        await settle();
        answer({ items: [message(1, "user", "right")], next_cursor: null }, 1);
        await settle();
        assert.deepEqual(page.contents, ["right"]);
    });

    test("is tried until it works", async () => {
        const hub = new FakeHub().fill(1);
        const page = await opened(hub);
        hub.on.set(
            "GET /api/conversations/*",
            new Problem({ status: 503, code: "not_ready", detail: "Later." }),
        );
        hub.message(0).content = "changed";
        page.socket.tell({ type: "companion_hub.resync", last_position: 1, revision: 1 });
        await settle();
        assert.equal(page.problems[0]?.code, "not_ready");
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
        assert.equal(page.unsent.state, "refused");
    });
});

describe("long talks", () => {
    /** @param {Page} page */
    const positions = (page) => page.talk.items.map((item) => item.position);
    /** @param {Page} page */
    const isWhole = (page) =>
        positions(page).every((position, index, [first = 0]) => position === first + index);
    /** @param {Page} page */
    const last = (page) => positions(page).at(-1) ?? 0;

    test("are read page by page, and held in a window without holes", async () => {
        const page = await opened(new FakeHub().fill(10_000));
        assert.deepEqual([positions(page)[0], last(page)], [9951, 10_000]);
        for (let load = 0; load < 9; load += 1) await page.talk.loadOlder();
        assert.deepEqual([positions(page)[0], page.talk.items.length], [9501, 400]);
        assert.deepEqual([page.talk.hasOlder, page.talk.hasNewer, isWhole(page)], [true, true, true]);
        await page.talk.loadNewer();
        assert.deepEqual([last(page), page.talk.items.length, isWhole(page)], [9950, 400, true]);
        await page.talk.loadNewer();
        assert.deepEqual([last(page), page.talk.hasNewer], [10_000, false]);
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
        assert.ok(isWhole(page) && last(page) < 1000);
        while (page.talk.hasNewer) await page.talk.loadNewer();
        assert.equal(page.contents.at(-1), "new at the end");
        assert.ok(isWhole(page));
    });

    test("lose nothing that is said while the last page is read", async () => {
        const hub = new FakeHub().fill(200);
        const page = await opened(hub);
        await page.talk.goTo(130);
        const known = hub.messages.slice(-50).reverse();
        const answer = hub.delay("GET /api/conversations/*");
        const reading = page.talk.loadNewer();
        await settle();
        page.socket.tell(added(hub.say("user", "meanwhile")));
        answer({ items: known, next_cursor: "more" });
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
        hub.log = [];
        await page.talk.loadNewer();
        assert.equal(hub.log.length, 2, "a gap is crossed in a few steps");
        assert.deepEqual([last(page), page.talk.hasNewer], [950, true]);
        assert.deepEqual(
            positions(page)
                .filter((position) => position > 299)
                .slice(0, 3),
            [300, 901, 902],
        );
        while (page.talk.hasNewer) await page.talk.loadNewer();
        assert.equal(last(page), 1000);
    });

    test("stay where they are read when a message is taken out", async () => {
        const hub = new FakeHub().fill(1000);
        const page = await opened(hub);
        await page.talk.goTo(500);
        const [start = 0, end] = [positions(page)[0], last(page)];
        hub.messages = hub.messages.filter((item) => item.position !== 501);
        page.socket.tell({ type: "companion_hub.resync", last_position: 1000, revision: 1 });
        await settle();
        assert.ok(positions(page).includes(500) && !positions(page).includes(501));
        assert.ok((positions(page)[0] ?? 0) <= start && last(page) === end);
        assert.equal(page.talk.hasNewer, true);
    });

    test("take nothing in from before what is held", async () => {
        const page = await opened(new FakeHub().fill(200));
        page.socket.tell(added(message(100, "user", "late")));
        assert.ok(isWhole(page) && !page.contents.includes("late"));
    });

    test("go on behind what was read without a connection", async () => {
        const hub = new FakeHub().fill(200);
        const page = await opened(hub);
        page.socket.end();
        hub.fill(100);
        await page.talk.goToEnd();
        await page.reconnect();
        assert.equal(subscription(page).after, 300);
    });

    test("that were wiped go on behind the position that they had", async () => {
        const page = await opened(Object.assign(new FakeHub(), { lastPosition: 700 }));
        assert.equal(subscription(page).after, 700);
    });

    test("go to the end when something is said", async () => {
        const hub = new FakeHub().fill(1000);
        const page = await opened(hub);
        await page.talk.goTo(500);
        const { eventId } = page.talk.send("Here I am");
        const said = hub.say("user", "Here I am");
        page.socket.tell(added(said, eventId));
        await settle();
        assert.deepEqual(
            [page.contents.at(-1), page.talk.hasNewer, isWhole(page)],
            ["Here I am", false, true],
        );
    });

    test("do not grow beyond the window while they go on", async () => {
        const hub = new FakeHub();
        const page = await opened(hub);
        for (let number = 0; number < 450; number += 1) page.socket.tell(added(hub.say("user", `${number}`)));
        assert.deepEqual(
            [page.talk.items.length, page.talk.hasOlder, page.talk.hasNewer],
            [400, true, false],
        );
        await page.talk.loadOlder();
        assert.ok(isWhole(page));
    });
});
