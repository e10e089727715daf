"""The scene of a talk: read before and after each reply, told to the model, to the painter and to clients."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from tests.fakes.llm_script import End, Script, answer, error, status
from tests.services.hub import Client
from tests.services.scene_world import (
    FIRST,
    SceneWorld,
    Talker,
    changed,
    content,
    found,
    paragraphs,
    scene_world,
    scenes_told,
    talker,
)

BEACH = {"location": "the beach", "action": "walking along the water"}
RAIN = {"outfit": "a red raincoat", "expression": "laughing", "lighting": "a grey sky"}


@pytest.fixture(scope="module")
async def world(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SceneWorld]:
    async with scene_world(tmp_path_factory.mktemp("scenes"), postgres) as made:
        yield made


@pytest.fixture
async def talk(world: SceneWorld) -> AsyncIterator[Talker]:
    async with talker(world) as made:
        yield made


@pytest.fixture
async def conversation(talk: Talker) -> str:
    return str((await talk.client.conversation(talk.companion_id))["id"])


async def test_it_is_read_before_and_after_a_reply_and_told(
    world: SceneWorld, talk: Talker, conversation: str
) -> None:
    world.llm.find("To the beach", before=found(**BEACH), after=found(**RAIN))
    async with talk.client.socket() as socket:
        await socket.subscribe(conversation)
        await socket.say(conversation, "To the beach")
        while len(scenes_told(socket)) < 2:
            await socket.receive()
    assert scenes_told(socket) == [changed(BEACH), changed(BEACH, RAIN)]
    assert await talk.scene() == changed(BEACH, RAIN)
    rules = content(await world.llm.was_told("To the beach"), "system")
    assert "the beach" in rules
    assert "red raincoat" not in rules
    await talk.says(conversation, "What now")
    rules = content(await world.llm.was_told("What now"), "system")
    for word in changed(BEACH, RAIN).values():
        assert word in rules
        assert word in content(await world.llm.was_asked("before", "What now"), "system")
    assert "living room" not in rules


async def test_what_the_model_is_asked(world: SceneWorld, talk: Talker, conversation: str) -> None:
    for said in ("The first", "The second", "The third"):
        await talk.says(conversation, said)
    name = talk.client.user["display_name"]
    replies = [each["content"] for each in await talk.client.messages(conversation) if each["response_id"]]
    before, after = (world.llm.asked(when, "The third")[0] for when in ("before", "after"))
    assert paragraphs(before) == [
        f"Mira: {replies[0]}",
        f"{name}: The second",
        f"Mira: {replies[1]}",
        f"{name}: The third",
    ]
    assert paragraphs(after) == [*paragraphs(before)[1:], f"Mira: {replies[2]}"]
    for body in (before, after):
        assert body["stream"] is False
        assert body["temperature"] == pytest.approx(0.2)
        limit = body.get("max_tokens") or body.get("max_completion_tokens")
        assert isinstance(limit, int)
        assert limit <= 600
        form = body["response_format"]
        assert isinstance(form, dict)
        assert form["type"] == "json_schema"
        assert set(form["json_schema"]["schema"]["required"]) == {
            *("outfit", "location", "action", "expression", "lighting", "is_user_present", "visual_tags")
        }


async def test_a_picture_waits_for_it_and_shows_it(
    world: SceneWorld, talk: Talker, conversation: str
) -> None:
    go_on = asyncio.Event()
    world.llm.find(
        "Paint the beach", before=found(**BEACH), after=found(go_on, **RAIN, visual_tags=["gulls"])
    )
    sent = await talk.client.send_for_image(conversation, "Paint the beach")
    async with talk.client.socket() as socket:
        await socket.subscribe(conversation)
        await world.llm.was_asked("after", "Paint the beach")
        response = await talk.client.ended(sent["response"]["id"])
        assert not [each for each in world.images.orders if "the beach" in str(each["prompt"])]
        go_on.set()
        done = await socket.expect("response.image_generation_call.completed")
    assert done["response_id"] == response["id"]
    assert done["image"]["recipe"]["scene"] == changed(BEACH, RAIN)
    for words in ("the beach", "a red raincoat", "laughing", "a grey sky", "gulls"):
        assert words in done["image"]["recipe"]["prompt"]
    assert (await talk.client.messages(conversation))[-1]["image"] == done["image"]


NOTHING = {
    "prose": answer("I am sorry, I cannot tell."),
    "no text": answer(""),
    "half": answer('{"location": "the be', finish="length"),
    "another form": answer('["the beach"]'),
    "empty values": found(outfit="", location=None, action=[], expression=False),
    "ways of saying nothing": found(outfit="n/a", location="unknown", action="none", expression="same"),
    "lazy outfit": found(outfit="Casual clothing."),
    "no JSON at all": status(200, "<html>wait</html>", content_type="text/html"),
    "another document": status(200, {"object": "list", "data": []}),
}
FAILING: dict[str, Script] = {
    "500": error(500, "broken"),
    "429": error(429, "slow down", headers={"Retry-After": "60"}),
    "quota": error(429, "no credit", code="insufficient_quota"),
    "401": error(401, "no"),
    "reset": Script(status=None, before_head=[End.RESET]),
    "cut": Script(steps=[b'{"choices": [', End.CLOSE], content_type="application/json", framing="chunked"),
}


@pytest.mark.parametrize("name", [*NOTHING, *FAILING])
async def test_what_finds_nothing_keeps_the_scene_and_delays_nothing(
    world: SceneWorld, talk: Talker, conversation: str, name: str
) -> None:
    await talk.set_scene(outfit="a green coat", location="the kitchen")
    script = {**NOTHING, **FAILING}[name]
    world.llm.find(name, before=script, after=script)
    async with asyncio.timeout(20), talk.client.socket() as socket:
        await socket.subscribe(conversation)
        await socket.say(conversation, name, response={"generate_image": True})
        done = await socket.expect("response.image_generation_call.completed")
    assert world.llm.asked("before", name)
    assert world.llm.asked("after", name)
    assert [each["response"]["attempt"] for each in socket.seen("response.completed")] == [1]
    assert scenes_told(socket) == []
    scene = changed({"outfit": "a green coat", "location": "the kitchen"})
    assert done["image"]["recipe"]["scene"] == scene == await talk.scene()


async def test_a_reply_that_is_tried_again_is_not_read_again_before(
    world: SceneWorld, talk: Talker, conversation: str
) -> None:
    world.llm.find("Again", before=found(**BEACH), after=found(**RAIN))
    world.llm.say("Again", error(500, "broken"))
    response = await talk.says(conversation, "Again")
    assert (response["status"], response["attempt"]) == ("completed", 2)
    assert len(world.llm.asked("before", "Again")) == 1
    assert (await talk.scene())["outfit"] == "a red raincoat"


async def test_two_conversations_at_once_add_up(world: SceneWorld, talk: Talker) -> None:
    """Each of them changes another part of the same scene, in whichever order they end."""
    first, second = [(await talk.client.conversation(talk.companion_id))["id"] for _ in range(2)]
    world.llm.find("One", before=found(location="the attic"), after=found(action="dusting books"))
    world.llm.find("Two", before=found(outfit="a blue dress"), after=found(expression="curious"))
    whole = {
        "outfit": "a blue dress",
        "location": "the attic",
        "action": "dusting books",
        "expression": "curious",
    }
    async with talk.client.socket() as one, talk.client.socket() as two:
        await one.subscribe(first)
        await two.subscribe(second)
        await asyncio.gather(talk.says(first, "One"), talk.says(second, "Two"))
        assert await talk.scene() == whole
        for socket in (one, two):
            while whole not in scenes_told(socket):
                await socket.receive(within=10)


async def test_what_is_read_late_of_an_earlier_message_is_kept_beside_what_came_later(
    world: SceneWorld, talk: Talker, conversation: str
) -> None:
    late = asyncio.Event()
    told_first = {**FIRST, "expression": "smiling"}
    world.llm.find("I come in", after=found(late, action="taking off her hat", location="the hall"))
    # As models do, it says of the rest what it was told.
    world.llm.find("Into the garden", before=found(**{**told_first, "location": "the garden"}))
    first = await talk.client.send(conversation, "I come in")
    await talk.client.ended(first["response"]["id"])
    await world.llm.was_asked("after", "I come in")
    second = await talk.client.send(conversation, "Into the garden")
    await talk.client.ended(second["response"]["id"])
    assert await talk.scene() == {**told_first, "location": "the garden"}
    late.set()
    await world.read(talk.companion_id)
    assert await talk.scene() == {**told_first, "action": "taking off her hat", "location": "the garden"}


async def test_messages_sent_in_a_row_are_read_one_after_the_other(
    world: SceneWorld, talk: Talker, conversation: str
) -> None:
    said = [f"Room {number}" for number in range(6)]
    for number, each in enumerate(said):
        world.llm.find(each, before=found(location=f"room {number}"), after=found(action=f"act {number}"))
    sent = [await talk.client.send(conversation, each) for each in said]
    for accepted in sent:
        await talk.client.ended(accepted["response"]["id"])
    await world.read(talk.companion_id)
    assert await talk.scene() == changed({"location": "room 5", "action": "act 5"})
    assert await world.left(talk.companion_id) == 6


# What subscribers are told


async def test_a_subscriber_is_told_of_changes_only(
    world: SceneWorld, talk: Talker, conversation: str
) -> None:
    world.llm.find("Earlier", before=found(**BEACH))
    await talk.says(conversation, "Earlier")
    async with talk.client.socket() as socket:
        await socket.subscribe(conversation)
        await socket.expect("conversation.item.added")
        assert await talk.set_scene(location="the pier") == changed(BEACH, {"location": "the pier"})
        await socket.expect("companion_hub.scene")
    assert scenes_told(socket) == [changed(BEACH, {"location": "the pier"})]


async def test_a_scene_whose_news_was_lost_arrives_after_the_gap(
    world: SceneWorld, talk: Talker, conversation: str
) -> None:
    async with talk.client.socket() as socket:
        await socket.subscribe(conversation)
        await socket.say(conversation, "Hello")
        await socket.finished()
        await world.read(talk.companion_id)
        # As another process would whose word got lost.
        sql = "UPDATE scenes SET location = 'the roof' FROM companions WHERE companions.id = companion_id"
        await world.rows(f"{sql} AND companions.id = $1::text::uuid", talk.companion_id)
        ended = await world.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = '' AND pid <> pg_backend_pid()"
        )
        assert ended
        told = await socket.expect("companion_hub.scene", within=10)
    assert told["scene"] == changed({"location": "the roof"})


@pytest.mark.parametrize("what", ["wiped", "deleted"])
async def test_another_client_takes_the_messages_away(
    world: SceneWorld, talk: Talker, conversation: str, what: str
) -> None:
    world.llm.find(what, before=found(**BEACH))
    async with talk.client.socket() as socket:
        await socket.subscribe(conversation)
        await socket.say(conversation, what)
        await socket.expect("companion_hub.scene")
        await socket.finished()
        await world.read(talk.companion_id)
        again = Client(talk.client.url)
        again.use(talk.client.token)
        elsewhere = Talker(world, again, talk.companion_id)
        await (elsewhere.wipe() if what == "wiped" else elsewhere.delete(conversation))
        await again.close()
        assert (await socket.expect("companion_hub.resync"))["last_position"] == 2
        if what == "wiped":
            assert (await socket.expect("companion_hub.scene"))["scene"] == FIRST
            await socket.say(conversation, "Hello again")  # and it goes on
            assert (await socket.finished())["status"] == "completed"
            assert [each["position"] for each in await talk.client.messages(conversation)] == [3, 4]


async def test_a_picture_that_is_joined_in_the_middle(
    world: SceneWorld, talk: Talker, conversation: str
) -> None:
    world.images.held = True
    async with talk.client.socket() as early:
        await early.subscribe(conversation)
        await early.say(conversation, "Paint me", response={"generate_image": True})
        response = await early.finished()
        while (begun := await early.expect(_CALL))["position"] is not None:
            pass
        async with talk.client.socket() as late:
            await late.subscribe(conversation)
            joined = await late.expect(_CALL)
            assert (joined["response_id"], joined["job_id"]) == (response["id"], begun["job_id"])
            world.images.held = False
            world.images.finish()
            images = [(await each.expect(f"{_OF_CALL}.completed"))["image"] for each in (early, late)]
    assert images[0] == images[1] == (await talk.client.messages(conversation))[-1]["image"]


async def test_a_picture_shows_the_moment_it_was_asked_for(
    world: SceneWorld, talk: Talker, conversation: str
) -> None:
    world.llm.find("To the beach", after=found(**BEACH))
    world.llm.find("Home again", after=found(location="the kitchen"))
    world.images.held = True
    first = await talk.client.ask_image(talk.companion_id)
    sent = await talk.client.send_for_image(conversation, "To the beach")
    waiting = (await talk.client.ended(sent["response"]["id"]))["image_job_id"]
    await world.read(talk.companion_id)
    await talk.says(conversation, "Home again")
    world.images.held = False
    world.images.finish()
    await talk.client.done(first["id"])
    image = (await talk.client.done(waiting))["result"]
    assert image["recipe"]["scene"] == changed(BEACH)
    assert "the beach" in image["recipe"]["prompt"]
    assert (await talk.scene())["location"] == "the kitchen"


async def test_a_picture_that_ended_while_nobody_looked(
    world: SceneWorld, talk: Talker, conversation: str
) -> None:
    async with talk.client.socket() as socket:
        await socket.subscribe(conversation)
        world.images.held = True
        await socket.say(conversation, "Paint me", response={"generate_image": True})
        job_id = (await socket.expect(_CALL))["job_id"]
    world.images.held = False
    world.images.finish()
    assert (await talk.client.done(job_id))["status"] == "completed"
    async with talk.client.socket() as socket:
        await socket.subscribe(conversation, after=1)
        added = await socket.expect("conversation.item.added")
        await socket.say(conversation, "Thank you")
        await socket.finished()
    assert added["item"]["image"] == (await talk.client.job(job_id))["result"]
    assert json.dumps(socket.frames).count("image_generation_call") == 0


_OF_CALL = "response.image_generation_call"
_CALL = f"{_OF_CALL}.in_progress"
