"""What operators set of scenes and prompts: when they are read, for how long, what models are told."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.fakes.llm_script import silence
from tests.services.scene_world import (
    FIRST,
    SceneWorld,
    Talker,
    changed,
    content,
    found,
    scene_world,
    scenes_told,
    talker,
)

POLICY = "fit for a school library"


@pytest.fixture(scope="module")
async def world(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SceneWorld]:
    """Yield a hub with an operator's own words, and little patience."""
    folder = tmp_path_factory.mktemp("settings")
    prompts = folder / "prompts"
    prompts.mkdir()
    (prompts / "rules.txt").write_text("Our house rules for $name: be brief, $policy.", "utf-8")
    (prompts / "analysis.txt").write_text("Our question about $name at $location, $policy.", "utf-8")
    (prompts / "picture.txt").write_text("our brush\n\n$location\n\nin $outfit", "utf-8")
    settings = {
        "HUB_SCENE_ANALYSIS": "both",
        "HUB_SCENE_TIMEOUT": "1",
        "HUB_CONTENT_POLICY": POLICY,
        "HUB_PROMPTS_DIR": str(prompts),
    }
    async with scene_world(folder, postgres, **settings) as made:
        yield made


@pytest.fixture
async def talk(world: SceneWorld) -> AsyncIterator[Talker]:
    async with talker(world) as made:
        yield made


async def paint(talk: Talker, said: str) -> dict[str, Any]:
    """Say something, and return the recipe of the picture of it."""
    conversation = await talk.client.conversation(talk.companion_id)
    async with talk.client.socket() as socket:
        await socket.subscribe(conversation["id"])
        await socket.say(conversation["id"], said, response={"generate_image": True})
        done = await socket.expect("response.image_generation_call.completed")
    return dict(done["image"]["recipe"])


async def test_the_operators_words_reach_every_prompt(world: SceneWorld, talk: Talker) -> None:
    recipe = await paint(talk, "Hello")
    rules = content(await world.llm.was_told("Hello"), "system")
    assert f"Our house rules for Mira: be brief, {POLICY}." in rules
    assert "You are an adult" in rules
    for when in ("before", "after"):
        question = content(await world.llm.was_asked(when, "Hello"), "system")
        assert question == f"Our question about Mira at living room, {POLICY}."
    for words in ("our brush", "living room", "in casual clothes", POLICY, "adult"):
        assert words in recipe["prompt"]
    assert world.images.orders[-1]["prompt"] == recipe["prompt"]
    assert world.images.orders[-1]["negative_prompt"] == recipe["negative_prompt"]


async def test_a_model_that_does_not_answer_in_time_costs_that_time_and_nothing_else(
    world: SceneWorld, talk: Talker
) -> None:
    world.llm.find("Slow", before=silence(), after=silence())
    started = time.monotonic()
    recipe = await paint(talk, "Slow")
    assert time.monotonic() - started > 2  # a second each
    assert recipe["scene"] == await talk.scene() == FIRST


@pytest.mark.parametrize("setting", ["after", "off"])
async def test_when_it_is_read(postgres: str, tmp_path_factory: pytest.TempPathFactory, setting: str) -> None:
    folder = tmp_path_factory.mktemp(setting)
    async with (
        scene_world(folder, postgres, HUB_SCENE_ANALYSIS=setting) as world,
        talker(world) as talk,
    ):
        world.llm.find("Hello", before=found(location="nowhere"), after=found(location="the beach"))
        conversation = (await talk.client.conversation(talk.companion_id))["id"]
        async with talk.client.socket() as socket:
            await socket.subscribe(conversation)
            await socket.say(conversation, "Hello", response={"generate_image": True})
            done = await socket.expect("response.image_generation_call.completed")
        expected = changed({"location": "the beach"}) if setting == "after" else FIRST
        assert done["image"]["recipe"]["scene"] == await talk.scene() == expected
        assert scenes_told(socket) == ([expected] if setting == "after" else [])
        assert len(world.llm.analyses) == (1 if setting == "after" else 0)
