"""The receiver in the documentation is one that runs."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.services.hub import PROJECT, Client, base_environment
from tests.services.leash import Leashed
from tests.services.routes import NOBODY_THERE
from tests.services.waiting import eventually

SCRIPT = PROJECT / "docs" / "examples" / "receive_webhooks.py"


class Example:
    """The running script."""

    def __init__(self, folder: Path, secret: str) -> None:
        self.log = folder / "receiver.log"
        self._process = Leashed(
            [sys.executable, str(SCRIPT), "0"],
            log=self.log,
            env={**base_environment(folder), "WEBHOOK_SECRET": secret},
        )

    @property
    def lines(self) -> list[str]:
        return self.log.read_text(encoding="utf-8").splitlines()

    async def port(self) -> str:
        await eventually(lambda: bool(self.lines))
        found = re.fullmatch(r"listening on port (\d+)", self.lines[0])
        assert found, self.lines
        return found[1]

    def close(self) -> None:
        self._process.end()


@pytest.fixture
async def webhook(client: Client) -> dict[str, Any]:
    return await client.webhook(NOBODY_THERE)


@pytest.fixture
def example(tmp_path: Path, webhook: dict[str, Any]) -> Iterator[Example]:
    running = Example(tmp_path, webhook["secret"])
    yield running
    running.close()


async def test_it_takes_what_the_hub_sends_once(
    client: Client, webhook: dict[str, Any], example: Example
) -> None:
    port, path = await example.port(), f"/api/webhooks/{webhook['id']}"
    await client.http.patch(path, json={"url": f"http://localhost:{port}/"})
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as stranger:
        forged = {"webhook-id": "1", "webhook-timestamp": "1614265330", "webhook-signature": "v1,AAAA"}
        for headers in ({}, forged, {**forged, "webhook-timestamp": "x"}):
            assert (await stranger.post("/", json={"type": "forged"}, headers=headers)).status_code == 401
    sent = (await client.http.post(f"{path}/test")).json()
    line = f"webhook.test {webhook['id']}"
    await eventually(lambda: example.lines[1:] == [line])
    deliveries = f"{path}/deliveries"
    await client.http.post(f"{deliveries}/{sent['id']}/retry")
    await client.http.post(f"{path}/test")
    await eventually(lambda: example.lines[1:].count(line) > 1)
    assert example.lines[1:] == [line, line], (
        "the second is of the second test: it was not fooled by the retry"
    )


def test_the_documentation_shows_it() -> None:
    """Word for word, but for what stands around the check."""
    check = SCRIPT.read_text(encoding="utf-8").split("\n\n\n")[1]
    assert check.startswith("def verified")
    assert check in (PROJECT / "docs" / "webhooks.md").read_text(encoding="utf-8")
