import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { Problem } from "../../src/hub/web/pages/static/js/api.js";
import {
    FakeHub,
    SCENE,
    added,
    begun,
    delta,
    done,
    ended,
    message,
    queued,
    response,
    settle,
} from "./fakes.js";
import { asked, clock, opened, sends, subscriptions, useClock, visit } from "./page.js";

useClock();

describe("a reply", () => {
    test("grows and becomes a message under the same key", async () => {
        const hub = new FakeHub();
        const page = await opened(hub);
        const said = hub.say("user", "Hi");
        page.socket.tell(added(said), queued("r1"));
        assert.equal(page.running.status, "queued");
        page.socket.tell(begun("r1"), delta("r1", 0, "Hello "), delta("r1", 6, "there"));
        assert.deepEqual(page.running.text, "Hello there");
        assert.equal(page.events.filter((type) => type === "text").length, 2);
        const reply = hub.say("assistant", "Hello there", { response_id: "r1" });
        page.socket.tell(done("r1", "Hello there"), added(reply));
        assert.equal(page.talk.running, null, "gone with the very frame that brings the message");
        assert.deepEqual(page.contents, ["Hi", "Hello there"]);
        assert.equal(page.talk.keyOf(page.item(1)), "r1");
        page.socket.tell(ended("r1", "completed", "Hello there", { message_id: reply.id }));
        assert.deepEqual(page.contents, ["Hi", "Hello there"]);
    });

    test("counts code points, not what JavaScript counts", async () => {
        const page = await opened(new FakeHub());
        page.socket.tell(begun("r1", "👩‍🚀"), delta("r1", 3, "a👍🏽"), delta("r1", 6, "é!"));
        assert.equal(page.running.text, "👩‍🚀a👍🏽é!");
        assert.equal(subscriptions(page).length, 1);
    });

    for (const [what, offset] of /** @type {const} */ ([
        ["a gap", 7],
        ["an overlap", 3],
    ])) {
        test(`with ${what} is asked for anew, and never shown wrong`, async () => {
            const page = await opened(new FakeHub());
            clock.tick(2000);
            page.socket.tell(begun("r1"), delta("r1", 0, "Hello"), delta("r1", offset, "wrong"));
            assert.equal(page.running.text, "Hello");
            assert.equal(subscriptions(page).length, 2);
            clock.tick(1500);
            page.socket.tell(delta("r1", 9, "still wrong"));
            assert.equal(subscriptions(page).length, 2, "once is enough");
            page.subscribed();
            page.socket.tell(begun("r1", "Hello my"), delta("r1", 8, " dear"));
            assert.equal(page.running.text, "Hello my dear");
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
        assert.equal(page.running.text, "");
        page.socket.tell(begun("r1", "", { attempt: 2 }), delta("r1", 0, "New"));
        assert.equal(page.running.text, "New");
    });

    test("is right in the end even if what came before was not", async () => {
        const page = await opened(new FakeHub());
        page.socket.tell(begun("r1"), delta("r1", 0, "Hxllo"), done("r1", "Hello"));
        assert.equal(page.running.text, "Hello");
    });

    test("that fails may be tried again", async () => {
        const hub = new FakeHub();
        const page = await opened(hub);
        page.socket.tell(added(hub.say("user", "Hi")), begun("r1"), delta("r1", 0, "He"));
        page.socket.tell(ended("r1", "failed", "He", { error: { code: "model", message: "It is away." } }));
        assert.equal(page.talk.running, null);
        assert.equal(page.ended.text, "He");
        assert.equal(page.ended.error?.message, "It is away.");
        hub.on.set("POST /api/responses/r1/retry", response("r1", "queued"));
        await page.talk.retry();
        page.socket.tell(queued("r1", { attempt: 2 }));
        assert.equal(page.talk.ended, null);
        assert.equal(page.running.id, "r1");
    });

    test("waits behind another, and is shown when that one has become a message", async () => {
        const hub = new FakeHub();
        const page = await opened(hub);
        page.socket.tell(
            added(hub.say("user", "One")),
            begun("r1"),
            added(hub.say("user", "Two")),
            queued("r2"),
        );
        assert.equal(page.running.id, "r1");
        page.socket.tell(added(hub.say("assistant", "1", { response_id: "r1" })));
        assert.equal(page.running.id, "r2");
        page.socket.tell(ended("r1", "completed", "1"));
        assert.equal(page.running.id, "r2");
    });

    test("is stopped over the socket, else over HTTP", async () => {
        const hub = new FakeHub();
        const page = await opened(hub);
        page.socket.tell(begun("r1"));
        await page.talk.stop();
        assert.equal(page.socket.first("response.cancel").response_id, "r1");
        page.socket.end();
        hub.on.set("POST /api/responses/r1/cancel", response("r1", "cancelled"));
        await page.talk.stop();
        assert.equal(asked(hub, "r1/cancel").length, 1);
    });

    test("that changes a message takes its place", async () => {
        const hub = new FakeHub().fill(2);
        const page = await opened(hub);
        const key = page.talk.keyOf(page.item(1));
        page.socket.tell(begun("r9", "", { kind: "regenerate" }), delta("r9", 0, "Other"));
        assert.equal(page.running.messageId, "m2");
        const item = {
            ...hub.message(1),
            content: "Other",
            response_id: "r9",
            alternative: 2,
            alternatives: 2,
        };
        page.socket.tell({ type: "companion_hub.item.updated", item, revision: 1 });
        assert.equal(page.talk.running, null);
        assert.deepEqual(page.contents, ["message 1", "Other"]);
        assert.equal(page.talk.keyOf(page.item(1)), key);
    });

    test("keeps what it is about when only its beginning is told", async () => {
        const page = await opened(new FakeHub().fill(2));
        page.socket.tell(queued("r9", { kind: "continue" }), begun("r9"));
        assert.deepEqual([page.running.kind, page.running.messageId], ["continue", "m2"]);
    });

    test("that failed is no longer offered once the talk has gone on", async () => {
        const hub = new FakeHub();
        const page = await opened(hub);
        page.socket.tell(added(hub.say("user", "Hi")), begun("r1"), ended("r1", "failed", ""));
        assert.equal(page.ended.id, "r1");
        clock.tick(1000);
        assert.equal(page.talk.canReply, true);
        page.socket.tell(added(hub.say("user", "Well?")));
        assert.equal(page.talk.ended, null);
        assert.equal(page.talk.canReply, false, "its reply may be on its way");
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

describe("pictures", () => {
    /**
     * @param {number} progress
     * @param {number | null} position
     */
    const progress = (progress, position) => ({
        type: "response.image_generation_call.in_progress",
        response_id: "r1",
        job_id: "j1",
        progress,
        position,
    });
    const image = { id: "i1", url: "/api/images/i1", width: 8, height: 8 };

    test("come with a message: queue, progress, picture", async () => {
        const hub = new FakeHub();
        const page = await opened(hub);
        page.socket.tell(added(hub.say("assistant", "Look", { response_id: "r1" })));
        page.socket.tell(ended("r1", "completed", "Look", { image_job_id: "j1" }));
        assert.equal(page.picture("r1").progress, 0);
        page.socket.tell(progress(0, 3));
        assert.equal(page.picture("r1").position, 3);
        page.socket.tell(progress(0.5, null));
        assert.equal(page.picture("r1").progress, 0.5);
        page.socket.tell({ type: "response.image_generation_call.completed", response_id: "r1", image });
        assert.equal(page.item(0).image?.url, image.url);
        assert.equal(page.talk.pictures.size, 0);
    });

    test("that fail say why", async () => {
        const page = await opened(new FakeHub());
        page.socket.tell(progress(0, 0));
        const error = { code: "image_cancelled", message: "The picture was cancelled." };
        page.socket.tell({ type: "response.image_generation_call.failed", response_id: "r1", error });
        assert.equal(page.picture("r1").error?.message, error.message);
    });

    test("that were finished while the connection was away are asked about once", async () => {
        const hub = new FakeHub();
        hub.say("assistant", "Look", { response_id: "r1" });
        const page = await opened(hub);
        page.socket.tell(progress(0.5, null));
        hub.on.set("GET /api/jobs/j1", {
            id: "j1",
            status: "completed",
            progress: 1,
            position: null,
            result: image,
            error: null,
        });
        await page.reconnect();
        clock.tick(500);
        await settle();
        assert.equal(page.item(0).image?.url, image.url);
        assert.equal(page.talk.pictures.size, 0);
        assert.equal(asked(hub, "/api/jobs/").length, 1);
    });

    test("that frames go on telling of are not asked about", async () => {
        const hub = new FakeHub();
        const page = await opened(hub);
        page.socket.tell(progress(0.2, null));
        await page.reconnect();
        page.socket.tell(progress(0.3, null));
        clock.tick(500);
        await settle();
        assert.deepEqual(asked(hub, "/api/jobs/"), []);
    });

    test("that were given up are not watched any longer", async () => {
        const hub = new FakeHub();
        const page = await opened(hub);
        const job = { id: "j7", status: "queued", progress: 0, position: 1, result: null, error: null };
        hub.on.set("POST /api/companions/*", { ...job, completed_at: null });
        await page.talk.picture();
        hub.on.set("POST /api/jobs/j7/cancel", { ...job, status: "cancelled" });
        await page.talk.dropPicture("j7");
        clock.tick(5000);
        await settle();
        assert.deepEqual([page.talk.pictures.size, asked(hub, "GET /api/jobs/")], [0, []]);
    });

    test("of a reply whose end was missed are found", async () => {
        const hub = new FakeHub();
        const page = await opened(hub);
        page.socket.tell(begun("r1"), added(hub.say("assistant", "Look", { response_id: "r1" })));
        hub.on.set("GET /api/responses/r1", response("r1", "completed", "Look", { image_job_id: "j1" }));
        hub.on.set("GET /api/jobs/j1", {
            id: "j1",
            status: "completed",
            progress: 1,
            position: null,
            result: image,
            error: null,
        });
        await page.reconnect();
        clock.tick(500);
        await settle();
        assert.equal(page.item(0).image?.url, image.url);
    });

    test("asked for by themselves are watched until they end", async () => {
        const hub = new FakeHub();
        const page = await opened(hub);
        const job = {
            id: "j7",
            status: "queued",
            progress: 0,
            position: 1,
            result: null,
            error: null,
            completed_at: null,
        };
        hub.on.set("POST /api/companions/*", job);
        await page.talk.picture("a lake");
        hub.on.set("GET /api/jobs/j7", { ...job, status: "in_progress", progress: 0.4, position: null });
        clock.tick(1000);
        await settle();
        assert.equal(page.picture("j7").progress, 0.4);
        hub.on.set("GET /api/jobs/j7", { ...job, status: "completed", result: image, completed_at: "now" });
        clock.tick(1000);
        await settle();
        assert.equal(page.picture("j7").image?.id, "i1");
        clock.tick(10_000);
        await settle();
        assert.equal(asked(hub, "GET /api/jobs/j7").length, 2);
    });

    test("that may not be asked for so often reject", async () => {
        const hub = new FakeHub();
        const page = await opened(hub);
        hub.on.set(
            "POST /api/companions/*",
            new Problem({ status: 429, code: "too_many_requests", retryAfter: 60 }),
        );
        await assert.rejects(page.talk.picture(), { status: 429, retryAfter: 60 });
    });
});

describe("everything else", () => {
    test("what changes elsewhere is shown", async () => {
        const hub = new FakeHub().fill(2);
        const page = await opened(hub);
        assert.deepEqual(page.talk.scene, SCENE);
        page.socket.tell({ type: "companion_hub.scene", scene: { ...SCENE, location: "the beach" } });
        page.socket.tell({
            type: "companion_hub.item.updated",
            item: message(1, "user", "edited"),
            revision: 1,
        });
        page.socket.tell({ type: "companion_hub.of.tomorrow", what: "ever" });
        page.socket.tell({ ...added(message(9, "user", "other")), conversation_id: "another" });
        assert.equal(page.talk.scene?.location, "the beach");
        assert.deepEqual(page.contents, ["edited", "message 2"]);
    });

    test("a scene that is told is not overwritten by one that was read before", async () => {
        const hub = new FakeHub();
        const page = await opened(hub);
        const answer = hub.delay("GET /api/companions/*");
        await page.reconnect();
        page.socket.tell({ type: "companion_hub.scene", scene: { ...SCENE, location: "the beach" } });
        answer({ id: "c", name: "Mira", scene: SCENE });
        await settle();
        assert.equal(page.talk.scene?.location, "the beach");
    });

    test("an edit of what has changed meanwhile is refused", async () => {
        const hub = new FakeHub().fill(1);
        const page = await opened(hub);
        hub.on.set("GET /api/messages/m1", message(1, "user", "another text"));
        await assert.rejects(page.talk.edit(page.item(0), "mine"), { status: 412, code: "stale_edit" });
        hub.on.set("GET /api/messages/m1", message(1, "user", "message 1"));
        /** @type {unknown[]} */
        let given = [];
        /** @type {import("./fakes.js").Answerer} */
        const patch = (body, options) => {
            given = [body.content, options?.headers?.["If-Match"]];
            return message(1, "user", "mine");
        };
        hub.on.set("PATCH /api/messages/m1", patch);
        await page.talk.edit(page.item(0), "mine");
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
        page.socket.open();
        clock.tick(3000);
        await settle();
        page.subscribed();
        assert.deepEqual(page.contents, ["message 1", "message 2"]);
        assert.equal(sends(page).length, 1);
    });

    test("an answer that makes no sense does no harm", async () => {
        const page = await opened(new FakeHub().fill(1));
        page.socket.say("{");
        page.socket.say("null");
        page.socket.tell({ type: "error", error: { code: "odd", message: "What?" } });
        assert.equal(page.problems[0]?.detail, "What?");
        assert.deepEqual(page.contents, ["message 1"]);
    });
});
