"""The scene after a turn was cancelled, failed, tried again, deleted, wiped, or overruled by the user."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.fakes.llm_script import error
from tests.services.scene_world import (
    FIRST,
    SceneWorld,
    Talker,
    changed,
    content,
    found,
    gated,
    scene_world,
    talker,
)

BEACH = {"location": "the beach", "action": "walking along the water"}
RAIN = {"outfit": "a red raincoat", "expression": "laughing"}


@pytest.fixture(scope="module")
async def world(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SceneWorld]:
    async with scene_world(tmp_path_factory.mktemp("versions"), postgres) as made:
        yield made


@pytest.fixture
async def talk(world: SceneWorld) -> AsyncIterator[Talker]:
    async with talker(world, default_outfit="a green coat") as made:
        yield made


@pytest.fixture
async def conversation(talk: Talker) -> str:
    return str((await talk.client.conversation(talk.companion_id))["id"])


OWN = changed({"outfit": "a green coat"})


async def test_a_cancelled_turn_leaves_no_scene_and_tried_again_it_does(
    world: SceneWorld, talk: Talker, conversation: str
) -> None:
    never = asyncio.Event()
    world.llm.find("Stop", before=found(**BEACH))
    world.llm.say("Stop", gated("Stop", never))
    async with talk.client.socket() as socket:
        await socket.subscribe(conversation)
        await socket.say(conversation, "Stop")
        response_id = await socket.reads("You said")
    assert "the beach" in content(await world.llm.was_told("Stop"), "system")
    answer = await talk.client.http.post(f"/api/responses/{response_id}/cancel")
    assert answer.json()["status"] == "cancelled"
    assert await talk.scene() == OWN
    assert await world.left(talk.companion_id) == 0
    world.llm.find("Stop", before=found(**RAIN))
    assert (await talk.client.http.post(f"/api/responses/{response_id}/retry")).status_code == 202
    assert (await talk.client.ended(response_id))["status"] == "completed"
    assert await talk.scene() == changed(RAIN, first=OWN)
    assert len(world.llm.asked("before", "Stop")) == 2


async def test_a_failed_turn_leaves_no_scene(world: SceneWorld, talk: Talker, conversation: str) -> None:
    world.llm.find("Kept", before=found(**BEACH))
    await talk.says(conversation, "Kept")
    world.llm.find("Fails", before=found(**RAIN))
    world.llm.say("Fails", error(400, "no"))
    assert (await talk.says(conversation, "Fails"))["status"] == "failed"
    assert await talk.scene() == changed(BEACH, first=OWN)
    assert not world.llm.asked("after", "Fails")


async def test_a_deleted_conversation_takes_its_part_of_the_scene_along(
    world: SceneWorld, talk: Talker
) -> None:
    first, second, third = [(await talk.client.conversation(talk.companion_id))["id"] for _ in range(3)]
    world.llm.find("One", before=found(location="the attic"), after=found(action="dusting books"))
    world.llm.find("Two", before=found(location="the roof", outfit="a blue dress"))
    world.llm.find("Three", after=found(expression="curious", location="the cellar"))
    world.llm.find("One again", after=found(outfit="an apron"))
    for conversation, said in ((first, "One"), (second, "Two"), (third, "Three"), (first, "One again")):
        await talk.says(conversation, said)
    both = {"location": "the cellar", "expression": "curious"}
    assert await talk.scene() == changed({"action": "dusting books", "outfit": "an apron"}, both)
    await talk.delete(first)
    assert await talk.scene() == changed({"outfit": "a blue dress"}, both)
    await talk.delete(third)
    assert await talk.scene() == changed({"outfit": "a blue dress", "location": "the roof"})
    await talk.delete(second)
    assert await talk.scene() == OWN


async def test_those_who_follow_another_conversation_are_told_of_the_scene_at_once(
    world: SceneWorld, talk: Talker, conversation: str
) -> None:
    other = str((await talk.client.conversation(talk.companion_id))["id"])
    world.llm.find("To the beach", after=found(**BEACH))
    await talk.says(conversation, "To the beach")
    async with talk.client.socket() as socket:
        await socket.subscribe(other)
        await talk.delete(conversation)
        told = await socket.expect("companion_hub.scene", within=10)  # a quiet one looks only every 15 s
    assert told["scene"] == OWN


async def test_what_the_user_sets_holds_until_the_talk_changes_it(
    world: SceneWorld, talk: Talker, conversation: str
) -> None:
    late = asyncio.Event()
    world.llm.find("Before it", before=found(**BEACH), after=found(late, **RAIN))
    sent = await talk.client.send(conversation, "Before it")
    await talk.client.ended(sent["response"]["id"])
    await world.llm.was_asked("after", "Before it")
    kitchen = changed(BEACH, {"location": "the kitchen"}, first=OWN)
    assert await talk.set_scene(location="the kitchen") == kitchen
    late.set()
    await world.read(talk.companion_id)
    assert await talk.scene() == kitchen
    world.llm.find("After it", after=found(location="the hall"))
    await talk.says(conversation, "After it")
    assert "the kitchen" in content(await world.llm.was_told("After it"), "system")
    assert await talk.scene() == kitchen | {"location": "the hall"}


async def test_what_the_user_empties_goes_back_to_how_it_was_at_first(
    world: SceneWorld, talk: Talker, conversation: str
) -> None:
    world.llm.find("All of it", before=found(**BEACH), after=found(**RAIN))
    await talk.says(conversation, "All of it")
    assert await talk.set_scene(outfit="", action=" ") == changed(
        {"location": "the beach", "expression": "laughing"}, first=OWN
    )
    assert await talk.set_scene(location="", expression="") == OWN == await talk.scene()


async def test_a_wipe_brings_back_the_first_scene(world: SceneWorld, talk: Talker, conversation: str) -> None:
    world.llm.find("All of it", before=found(**BEACH), after=found(**RAIN))
    await talk.says(conversation, "All of it", image=True)
    await talk.set_scene(location="the kitchen")
    await talk.says(conversation, "And more")
    receipt = await talk.wipe()
    assert receipt["messages"] == 4
    assert await talk.scene() == {
        "outfit": "a green coat",
        "location": "living room",
        "action": "looking at viewer",
        "expression": FIRST["expression"],
    }
    assert await world.left(talk.companion_id) == 0
    await talk.says(conversation, "Who are you")
    assert "kitchen" not in content(await world.llm.was_told("Who are you"), "system")


@pytest.mark.parametrize("what", ["set", "wiped", "conversation deleted", "companion deleted"])
@pytest.mark.parametrize("when", ["before", "reply", "after"])
async def test_what_is_under_way_does_not_write_back(
    world: SceneWorld, talk: Talker, conversation: str, what: str, when: str
) -> None:
    said, go_on = f"{what} {when}", asyncio.Event()
    gates = {when: [go_on]}
    world.llm.find(said, before=found(*gates.get("before", []), **BEACH))
    world.llm.say(said, gated(said, go_on if when == "reply" else _open()))
    if when == "after":
        world.llm.find(said, after=found(go_on, **RAIN))
    sent = await talk.client.send_for_image(conversation, said)
    await (
        world.llm.was_told(said)
        if when == "reply"
        else world.llm.was_asked("before" if when == "before" else "after", said)
    )
    expected = await overrule(talk, conversation, what)
    go_on.set()
    if what == "set":
        await talk.client.ended(sent["response"]["id"])
    await world.at_rest()
    if what == "companion deleted":
        assert (await talk.client.http.get(talk.path)).status_code == 404
    else:  # after another turn, whoever wanted to write has written
        await talk.says((await talk.client.conversation(talk.companion_id))["id"], "Hello")
        assert await talk.scene() == expected
    if what != "set":
        mine = "SELECT FROM images JOIN users ON users.id = user_id WHERE username = $1"
        assert await world.rows(mine, talk.client.user["username"]) == []


async def overrule(talk: Talker, conversation: str, what: str) -> dict[str, str]:
    """Do it while a turn is under way; return the scene as it is to stay."""
    if what == "set":
        return await talk.set_scene(location="the kitchen", outfit="an apron")
    if what == "wiped":
        await talk.wipe()
    elif what == "conversation deleted":
        await talk.delete(conversation)
    else:
        assert (await talk.client.http.delete(talk.path)).status_code == 204
    return OWN


def _open() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event
