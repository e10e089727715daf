"""The scene and the picture of a message that is written anew, continued or taken out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.fakes.llm import Body
from tests.fakes.llm_script import reply
from tests.services.edits import Editor
from tests.services.scene_world import (
    SceneWorld,
    Talker,
    changed,
    content,
    found,
    paragraphs,
    scene_world,
    talker,
)

BEACH = {"location": "the beach", "action": "walking along the water"}


@pytest.fixture(scope="module")
async def world(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SceneWorld]:
    async with scene_world(tmp_path_factory.mktemp("rewritten"), postgres) as made:
        yield made


@pytest.fixture
async def talk(world: SceneWorld) -> AsyncIterator[Talker]:
    async with talker(world) as made:
        yield made


@pytest.fixture
async def editor(talk: Talker) -> Editor:
    return Editor(talk.client, (await talk.client.conversation(talk.companion_id))["id"])


async def test_the_scene_of_another_reply_replaces_that_of_the_first(
    world: SceneWorld, talk: Talker, editor: Editor
) -> None:
    world.llm.find("First", before=found(outfit="a green coat"))
    await talk.says(editor.id, "First")
    world.llm.find("Where to", before=found(**BEACH), after=found(expression="laughing"))
    await talk.says(editor.id, "Where to")
    assert await talk.scene() == changed({"outfit": "a green coat", "expression": "laughing"}, BEACH)
    world.llm.find("Where to", before=found(location="the roof"), after=found(outfit="an apron"))
    await editor.done("regenerate")
    await world.read(talk.companion_id)
    # The model was told of the scene as it was before the reply that is replaced.
    asked = world.llm.asked("before", "Where to")[-1]
    assert "living room" in content(asked, "system")
    assert "the beach" not in content(asked, "system")
    assert await talk.scene() == changed({"outfit": "an apron", "location": "the roof"})
    assert await world.left(talk.companion_id) == 2


async def test_a_late_reading_of_the_replaced_text_counts_no_more(
    world: SceneWorld, talk: Talker, editor: Editor
) -> None:
    late = asyncio.Event()
    world.llm.find("Where to", after=found(late, **BEACH))
    sent = await talk.client.send(editor.id, "Where to")
    await talk.client.ended(sent["response"]["id"])
    await world.llm.was_asked("after", "Where to")
    world.llm.find("Where to", after=found(outfit="an apron"))
    await editor.done("regenerate")
    late.set()
    await world.read(talk.companion_id)
    assert await talk.scene() == changed({"outfit": "an apron"})


async def test_what_goes_on_adds_to_the_scene(world: SceneWorld, talk: Talker, editor: Editor) -> None:
    world.llm.find("Where to", before=found(**BEACH))
    await talk.says(editor.id, "Where to")
    asked = len(world.llm.analyses)

    def rain(body: Body) -> object:
        return found(outfit="a raincoat") if paragraphs(body)[-1].endswith("It rains.") else usual(body)

    usual, world.llm.analysis = world.llm.analysis, rain  # type: ignore[assignment]
    usual_reply, world.llm.default = world.llm.default, lambda _: reply("It rains.")
    try:
        await editor.done("continue")
        await world.read(talk.companion_id)
    finally:
        world.llm.analysis, world.llm.default = usual, usual_reply
    assert await talk.scene() == changed(BEACH, {"outfit": "a raincoat"})
    assert len(world.llm.analyses) == asked + 1, "nothing was said before it"
    assert await world.left(talk.companion_id) == 1


async def test_deleted_messages_take_their_part_of_the_scene_along(
    world: SceneWorld, talk: Talker, editor: Editor
) -> None:
    for said, place in (("One", "the attic"), ("Two", "the roof"), ("Three", "the cellar")):
        world.llm.find(said, before=found(location=place), after=found(action=f"thinking of {said}"))
        await talk.says(editor.id, said)
    messages = await editor.messages()
    async with talk.client.socket() as socket:
        await socket.subscribe(editor.id, after=6)
        await editor.delete(messages[5]["id"])
        await socket.expect("companion_hub.resync")
        two = changed({"location": "the roof", "action": "thinking of Two"})
        assert (await socket.expect("companion_hub.scene"))["scene"] == two == await talk.scene()
    await editor.delete(messages[1]["id"])
    assert await talk.scene() == two
    await editor.delete(messages[2]["id"], following=True)
    assert await talk.scene() == changed()
    assert await world.left(talk.companion_id) == 0


async def test_each_text_has_its_own_picture(talk: Talker, editor: Editor) -> None:
    first = await talk.says(editor.id, "Paint it", image=True)
    await talk.client.done((await talk.client.response(first["id"]))["image_job_id"])
    one = (await editor.messages())[1]
    async with talk.client.socket() as socket:
        await socket.subscribe(editor.id, after=2)
        second = await editor.done("regenerate", image=True)
        told = await socket.expect("response.image_generation_call.completed")
        assert told["response_id"] == second["id"]
    two = (await editor.messages())[1]
    assert two["image"] == told["image"] != one["image"]
    pictures = [each["image"] for each in await editor.alternatives(one["id"])]
    assert pictures == [one["image"], two["image"]]
    third = await editor.done("regenerate")
    assert third["image_job_id"] is None
    assert (await editor.messages())[1]["image"] is None
    assert (await editor.choose(one["id"], 1))["image"] == one["image"]
    await editor.done("continue")
    assert (await editor.messages())[1]["image"] == one["image"], "the text goes on, the picture stays"
    # What is taken out leaves its pictures in the gallery.
    await editor.delete(one["id"])
    gallery = (await talk.client.http.get(f"{talk.path}/images")).json()["items"]
    assert [each["id"] for each in gallery] == [two["image"]["id"], one["image"]["id"]]


async def test_a_picture_that_comes_late_goes_with_the_text_that_it_was_asked_for(
    world: SceneWorld, talk: Talker, editor: Editor
) -> None:
    world.images.held = True
    first = await talk.says(editor.id, "Paint it", image=True)
    await editor.done("regenerate")
    world.images.held = False
    world.images.finish()
    job = await talk.client.done((await talk.client.response(first["id"]))["image_job_id"])
    message = (await editor.messages())[1]
    assert message["image"] is None
    assert (await editor.choose(message["id"], 1))["image"] == job["result"]


async def test_a_picture_under_way_is_cancelled_with_its_message(
    world: SceneWorld, talk: Talker, editor: Editor
) -> None:
    world.images.held = True
    response = await talk.says(editor.id, "Paint it", image=True)
    job_id = (await talk.client.response(response["id"]))["image_job_id"]
    await editor.delete((await editor.messages())[1]["id"])
    assert (await talk.client.done(job_id))["status"] == "cancelled"
    world.images.held = False
    world.images.finish()
    assert (await talk.client.http.get(f"{talk.path}/images")).json()["items"] == []
