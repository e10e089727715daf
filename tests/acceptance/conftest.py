"""What acceptance tests share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.fakes.llm import FakeLLM
from tests.fakes.llm_script import Script, reply
from tests.services.hub import llm_settings
from tests.services.world import run_hub

TEXT = "Moss is patient ☕, and so am I: it grows a little every day, wherever the light is kind to it."


@dataclass
class Held:
    """A reply that stops in its middle until ``go`` is set."""

    go: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def script(self) -> Script:
        """What the fake model's server plays."""
        return reply(TEXT, between={6: self.go})


def at(fake: FakeLLM) -> Mapping[str, str]:
    """Return the settings that point a hub at a model's server which may be silent for a while."""
    return llm_settings(fake.url, HUB_LLM_TIMEOUT="60")


@pytest.fixture(scope="session")
async def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a space in its name, whose embedded database ``hub migrate`` has made."""
    folder = tmp_path_factory.mktemp("a hub's plätze")
    done = await run_hub(folder, "migrate")
    assert done.code == 0, done.output
    assert "migrations ran" in done.output
    return folder


@pytest.fixture
async def fake() -> AsyncIterator[FakeLLM]:
    """Yield a language model's server of the test's own."""
    async with FakeLLM() as server:
        yield server
