"""A hub for schemathesis, with one of everything in it, and what comes out."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

import msgspec
from msgspec import Struct

from hub.web.documents import OPENAPI, kept
from tests.services.hub import PROJECT, Client, HubServer
from tests.services.people import promote
from tests.services.routes import Home


class Report(Struct):
    """What the engine says it did."""

    operations: int
    calls: dict[str, int]
    statuses: dict[str, int]
    failures: list[str]
    errors: list[str]
    seconds: float = 0.0

    @property
    def total(self) -> int:
        """Return how many calls were made."""
        return sum(self.calls.values())


async def fuzz(
    hub: HubServer,
    *,
    examples: int,
    phases: tuple[str, ...],
    only: tuple[str, ...] = (),
    within: float = 3600,
) -> Report:
    """Have schemathesis call every operation of a hub this often in each phase."""
    owner = await promote(hub, await Client(hub.url).register())
    try:
        home = await Home.of(owner)
        task = {
            "url": hub.url,
            "document": kept(OPENAPI),
            "token": owner.token,
            "ids": {
                **home.ids,
                "model": f"companion/{home.ids['companion_id']}",
                "user_id": owner.user["id"],
            },
            "examples": examples,
            "phases": phases,
            "only": only,
        }
        began = time.monotonic()
        output = await _engine(msgspec.json.encode(task), within=within)
        report = msgspec.json.decode(output, type=Report)
        report.seconds = time.monotonic() - began
    finally:
        await owner.close()
    return report


async def _engine(task: bytes, *, within: float) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.fuzz.engine"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(Path(PROJECT) / "src")},
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(task), within)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, f"the engine ended with {process.returncode}"
    return output
