"""What becomes of a picture that is painted while the database does not answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from actors import attempts
from actors.images import ImageAttempt
from hub.core.clock import utc_now
from hub.core.ids import new_id
from hub.domain.painting.queries import Request
from hub.domain.prompts.prompts import Prompts
from hub.domain.scenes.schemas import Scene, SceneDetails
from hub.jobs.contracts import Claim, JobKind
from hub.process import Process
from hub.providers.images.protocol import Picture


class Images:
    """Pictures, whose rows nobody answers for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.files = self

    async def require_room(self) -> None:
        """There is enough."""

    @asynccontextmanager
    async def temporary(self) -> AsyncIterator[SimpleNamespace]:
        yield SimpleNamespace(path=self._folder / "picture")

    @asynccontextmanager
    async def prepared(self, source: Path, **_: object) -> AsyncIterator[Path]:
        yield source

    async def store(self, *_: object, **__: object) -> None:
        raise TimeoutError


class Painted:
    """An image server that is done at once."""

    provider = "test"

    async def make(self, *_: object, **__: object) -> Picture:
        return Picture(content=b"picture", seed=1, model="", sampler="", steps=1)


async def told(*_: object, **__: object) -> None:
    """Take word of a picture."""


def request() -> Request:
    job_id = new_id()
    claim = Claim(
        job_id=job_id,
        kind=JobKind.IMAGE,
        lane="image:test",
        attempt=1,
        max_attempts=3,
        subject_id=job_id,
        user_id=new_id(),
        request_id="",
        created_at=utc_now(),
    )
    return Request(
        claim=claim,
        user_id=new_id(),
        companion_id=new_id(),
        conversation_id=None,
        response_id=None,
        prompt="a cat",
        negative_prompt=None,
        seed=1,
        width=64,
        height=64,
        ticket=None,
        name="Mira",
        appearance="",
        user_appearance="",
        scene=Scene(outfit="a coat", location="the hall", action="waiting", expression="neutral"),
        details=SceneDetails(),
    )


async def test_a_silent_database_is_no_slow_image_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job is left to its lease, and made again: it has not failed."""
    monkeypatch.setattr(attempts, "LEASE", -1.0)
    process = SimpleNamespace(
        settings=SimpleNamespace(sd_timeout=10.0),
        prompts=Prompts.load(),
        images=Images(tmp_path),
        image_server=Painted(),
        painting=SimpleNamespace(tell=told),
    )
    with pytest.raises(TimeoutError):
        await ImageAttempt(cast("Process", process), request()).run()
