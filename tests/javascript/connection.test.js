import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { session } from "../../src/hub/web/pages/static/js/api.js";
import { FakeHub, added, begun, delta, response, settle } from "./fakes.js";
import { asked, clock, opened, subscription, subscriptions, useClock } from "./page.js";

useClock();

describe("a lost connection", () => {
    test("comes back where it was: messages, changes, text", async () => {
        const hub = new FakeHub().fill(2);
        hub.revision = 4;
        const page = await opened(hub);
        page.socket.tell(begun("r1"), delta("r1", 0, "Half of"));
        page.socket.end();
        assert.equal(page.talk.connection, "connecting");
        assert.equal(page.running.text, "Half of", "what was there stays in view");
        const said = hub.say("user", "from elsewhere");
        clock.tick(500);
        page.socket.open();
        await settle();
        const { after, revision } = page.subscribed();
        assert.deepEqual([after, revision], [2, 4]);
        const changed = { ...hub.message(0), content: "edited" };
        page.socket.tell({ type: "companion_hub.item.updated", item: changed, revision: 5 });
        page.socket.tell(added(said), begun("r1", "Half of the"), delta("r1", 11, " text"));
        assert.deepEqual(page.contents, ["edited", "message 2", "from elsewhere"]);
        assert.equal(page.running.text, "Half of the text");
        clock.tick(500);
        assert.deepEqual(asked(hub, "/responses/"), [], "frames told of it: nobody asks");
        await page.reconnect();
        assert.equal(subscription(page).revision, 5);
        assert.equal(subscription(page).after, 3);
    });

    test("does not keep a reply that became a message meanwhile", async () => {
        const hub = new FakeHub();
        const page = await opened(hub);
        page.socket.tell(begun("r1"), delta("r1", 0, "Half"));
        const reply = hub.say("assistant", "Half and whole", { response_id: "r1" });
        await page.reconnect();
        page.socket.tell(added(reply));
        assert.equal(page.talk.running, null);
        assert.deepEqual(page.contents, ["Half and whole"]);
        assert.equal(page.talk.keyOf(page.item(0)), "r1");
    });

    test("asks about a reply that nobody tells of any more", async () => {
        const hub = new FakeHub();
        const page = await opened(hub);
        page.socket.tell(begun("r1"), delta("r1", 0, "Half"));
        hub.on.set("GET /api/responses/r1", response("r1", "cancelled", "Half of"));
        await page.reconnect();
        clock.tick(500);
        await settle();
        assert.equal(page.talk.running, null);
        assert.equal(page.ended.text, "Half of");
    });

    test("does not believe an answer that frames have overtaken", async () => {
        const hub = new FakeHub();
        const page = await opened(hub);
        page.socket.tell(begun("r1"), delta("r1", 0, "Half"));
        const answer = hub.delay("GET /api/responses/r1");
        await page.reconnect();
        clock.tick(500);
        await settle();
        page.socket.tell(begun("r1", "Half of", { attempt: 2 }));
        answer(response("r1", "failed", "Half"));
        await settle();
        assert.equal(page.running.text, "Half of");
    });

    test("to a hub that was set back reads everything anew", async () => {
        const hub = new FakeHub().fill(6);
        const page = await opened(hub);
        hub.messages = hub.messages.slice(0, 3);
        hub.lastPosition = 3;
        await page.reconnect();
        await settle();
        assert.deepEqual(page.contents, ["message 1", "message 2", "message 3"]);
        page.socket.tell(added(hub.say("user", "again")));
        assert.equal(page.contents.at(-1), "again");
    });

    test("that was good for a while is tried again at once", async () => {
        const page = await opened(new FakeHub());
        for (let failure = 0; failure < 6; failure += 1) {
            page.socket.end();
            clock.tick(15_000);
        }
        await page.connect();
        clock.tick(6000);
        const before = page.sockets.length;
        page.socket.end();
        clock.tick(500);
        assert.equal(page.sockets.length, before + 1);
    });

    test("comes back at once when the network does, and backs off while it does not", async () => {
        const page = await opened(new FakeHub());
        page.window.dispatchEvent(new Event("offline"));
        assert.equal(page.talk.connection, "offline");
        assert.equal(page.sockets[0]?.isClosed, true);
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

    test("that was given up is built up again", async () => {
        const hub = new FakeHub();
        const page = await opened(hub);
        page.live.stop();
        assert.equal(page.talk.connection, "offline");
        page.live.start();
        await page.connect();
        assert.equal(page.talk.connection, "open");
        assert.equal(subscriptions(page).length, 1);
    });

    test("may be asleep: a page that comes back into view asks", async () => {
        const page = await opened(new FakeHub());
        clock.tick(10_000);
        page.window.dispatchEvent(new Event("visibilitychange"));
        assert.equal(subscriptions(page).length, 1, "it spoke just now");
        clock.tick(11_000);
        page.window.dispatchEvent(new Event("visibilitychange"));
        assert.equal(subscriptions(page).length, 2);
        clock.tick(15_000);
        assert.equal(page.talk.connection, "connecting", "no answer");
    });
});
