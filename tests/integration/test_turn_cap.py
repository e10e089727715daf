"""How many replies one user may have written at the same time, and what becomes of the rest."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.llm import FakeLLM
from tests.fakes.llm_script import reply
from tests.integration.conftest import last_said
from tests.services.fixtures import running_hub
from tests.services.hub import Client, HubServer, llm_settings

CAP = 3


@pytest.fixture
async def fake() -> AsyncIterator[FakeLLM]:
    async with FakeLLM() as fake:
        yield fake


@pytest.fixture
async def capped(postgres: str, fake: FakeLLM, tmp_path: Path) -> AsyncIterator[HubServer]:
    """Yield a hub with its limits on."""
    async with running_hub(
        tmp_path,
        postgres,
        HUB_LIMITS="on",
        HUB_TURNS_PER_USER=str(CAP),
        **llm_settings(fake.url, HUB_LLM_TIMEOUT="30"),
    ) as server:
        yield server


async def test_more_wait_their_turn_and_nobody_else_does(capped: HubServer, fake: FakeLLM) -> None:
    go_on = asyncio.Event()
    fake.default = lambda _: reply(["Well", ", yes."], between={1: go_on})
    eager, other = await Client(capped.url).register(), await Client(capped.url).register()
    companion = (await eager.companion())["id"]
    conversations = [(await eager.conversation(companion))["id"] for _ in range(3 * CAP)]
    sent = await asyncio.gather(*(eager.send(each, "eager") for each in conversations))
    await fake.wait_for_requests(CAP)
    answered = await other.send((await other.conversation())["id"], "other")
    await fake.wait_for_requests(CAP + 1)  # one that was let in beyond the cap would have been there first
    assert Counter(last_said(each.body) for each in fake.chats) == {"eager": CAP, "other": 1}
    queued = [(await eager.response(each["response"]["id"]))["status"] for each in sent]
    assert Counter(queued) == {"in_progress": CAP, "queued": 2 * CAP}
    go_on.set()
    for each in sent:
        assert (await eager.ended(each["response"]["id"]))["status"] == "completed"
    assert (await other.ended(answered["response"]["id"]))["status"] == "completed"
    await eager.close()
    await other.close()
