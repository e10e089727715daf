"""A language model and an image server that note when each request came in and when its answer was out.

The moments are nanoseconds of the monotonic clock, which all processes of a machine share. ``POST /notes``
gives what was noted since the last time, ``POST /manner`` says how to answer from now on.
"""

from __future__ import annotations

import asyncio
import base64
import time
from asyncio import StreamWriter
from dataclasses import replace
from pathlib import Path

import msgspec
from msgspec import Struct

from tests.fakes.http_server import FakeServer, Request
from tests.fakes.llm_script import Script, answer, reply, status

_WORKS = ("/v1/chat/completions", "/sdapi/v1/txt2img")
_TEXT = ["Moss", " grows", " slowly", ",", " and", " so", " do", " I", "."]


class Manner(Struct, frozen=True):
    """How to answer: after a pause in seconds, and with which picture (the path of a PNG)."""

    pause: float = 0.0
    picture: str = ""


class TimedProvider(FakeServer):
    """Both kinds at one address; a bench runs one process for each."""

    def __init__(self) -> None:
        super().__init__()
        self._manner = Manner()
        self._picture = b""
        self._notes: list[tuple[int, int]] = []
        self._count = 0

    async def respond(self, request: Request) -> Script:
        """Answer at once; the pause is a part of the script."""
        if request.path == "/notes":
            notes, self._notes = self._notes, []
            return status(200, msgspec.json.encode(notes))
        if request.path == "/manner":
            self._behave(msgspec.json.decode(request.raw, type=Manner))
            return status(200)
        if request.path == "/sdapi/v1/txt2img":
            return replace(
                status(200, self._picture, content_type="application/json"), before_head=self._wait
            )
        if request.path == "/v1/chat/completions":
            return reply(_TEXT, first=self._wait) if request.body.get("stream") else self._analysis()
        return status(404, {"detail": "Not Found"})

    @property
    def _wait(self) -> list[float]:
        return [self._manner.pause] if self._manner.pause else []

    def _behave(self, manner: Manner) -> None:
        self._manner = manner
        if manner.picture:
            content = base64.b64encode(Path(manner.picture).read_bytes()).decode()
            info = '{"seed": 7, "sampler_name": "Euler", "steps": 28}'
            self._picture = msgspec.json.encode({"images": [content], "parameters": {}, "info": info})

    def _analysis(self) -> Script:
        """Say each time something new, so that clients are told of each."""
        self._count += 1
        found = {
            "outfit": f"a coat with {self._count} buttons",
            "location": "a mossy forest",
            "action": "walking between the trees",
            "expression": "a curious smile",
            "lighting": "soft morning light",
            "is_user_present": True,
            "visual_tags": ["fog", "fern"],
        }
        return answer(msgspec.json.encode(found).decode(), first=self._wait)

    async def _play(self, request: Request, writer: StreamWriter) -> None:
        came = time.monotonic_ns()
        transport = writer.transport
        transport.set_write_buffer_limits(high=0)  # what is drained then is out
        await super()._play(request, writer)
        if request.path in _WORKS:
            self._notes.append((came, time.monotonic_ns()))


async def _serve() -> None:
    async with TimedProvider() as provider:
        print(provider.origin, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve())
