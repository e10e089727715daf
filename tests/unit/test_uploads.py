"""Bodies that come slowly, or go where it is slow: only the client's own silence counts."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from hub.storage.files import TempFile
from hub.web import uploads
from hub.web.requests import HubRequest, IncompleteRequestError


class Request:
    """As much of a request as is looked at: some pieces, and then silence if ``ends`` is False."""

    def __init__(self, *pieces: bytes, ends: bool) -> None:
        self.headers = {"content-type": "image/png"}
        self._pieces = pieces
        self._ends = ends

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield the body."""
        for piece in self._pieces:
            yield piece
        if not self._ends:
            await asyncio.Event().wait()


async def test_a_silent_client_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "_PATIENCE", 0.01)
    request = cast("HubRequest", Request(b"x" * 10, ends=False))
    path = tmp_path / "temp"
    with path.open("wb") as file, pytest.raises(IncompleteRequestError):
        await uploads.receive_upload(request, TempFile(path, file.fileno()))


async def test_a_slow_disk_is_not_taken_for_a_silent_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "_PATIENCE", 0.1)
    body = os.urandom(1_000_000)
    there, here = os.pipe()  # takes 64 kB, and the rest when it is read
    request = cast("HubRequest", Request(body, ends=True))
    receiving = asyncio.create_task(uploads.receive_upload(request, TempFile(tmp_path, here)))
    done, _ = await asyncio.wait([receiving], timeout=0.3)
    with os.fdopen(there, "rb") as file:
        reading = asyncio.create_task(asyncio.to_thread(file.read))
        await asyncio.wait([receiving])
        os.close(here)
        assert await reading == body
    assert not done, "it waits for the disk, for longer than its patience with clients"
    assert receiving.result() == len(body)
