"""A real HTTP server that speaks /sdapi/v1 as AUTOMATIC1111 and Forge do, faults included.

``async with FakeA1111() as fake``: each txt2img takes the next script given to ``fake.script(...)``, else
makes a picture. It works on one at a time, whether its client still waits or not, and ``overlaps`` counts the
calls that came while it worked. ``python -m tests.fakes.a1111`` runs it for a bench.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import replace

from tests.fakes.http_server import FakeServer, Request
from tests.fakes.llm_script import End, Script, status
from tests.services.pictures import flat_png, png_chunk

TXT2IMG = "/sdapi/v1/txt2img"
PROGRESS = "/sdapi/v1/progress"
INTERRUPT = "/sdapi/v1/interrupt"

# Faults as these servers word them.
NO_API = status(404, {"detail": "Not Found"})
WRONG_PASSWORD = status(
    401, {"detail": "Incorrect username or password"}, headers={"WWW-Authenticate": "Basic"}
)
INVALID = status(
    422,
    {"detail": [{"loc": ["body", "steps"], "msg": "value is not a valid integer", "type": "type_error"}]},
)
BUSY = status(429, {"error": {"message": "Rate limit reached"}}, headers={"Retry-After": "7"})
NO_CREDIT = status(429, {"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}})
OUT_OF_MEMORY = status(
    500,
    {
        "error": "OutOfMemoryError",
        "detail": "",
        "body": "",
        "errors": "CUDA out of memory. Tried to allocate 2.00 GiB (GPU 0; 7.79 GiB total capacity)",
    },
)
BROKEN = status(500, {"error": "RuntimeError", "detail": "", "body": "", "errors": "mat1 and mat2 shapes"})
HTML = status(200, "<!doctype html><html><title>Stable Diffusion</title></html>", content_type="text/html")
HANG = Script(status=None, before_head=[End.HANG])
RESET = Script(status=None, before_head=[End.RESET])
GRID = flat_png(16, 8)


def cut() -> Script:
    """An answer that breaks off in the middle of its picture."""
    raw = json.dumps({"images": ["iVBORw0KGgo" * 400]}).encode()
    return Script(
        steps=[raw[: len(raw) // 2], End.CLOSE],
        content_type="application/json",
        headers={"content-length": str(len(raw))},
        framing="cut",
    )


def cut_without_length() -> Script:
    """The same from a server that ends its answers by closing, so that only the JSON tells."""
    whole = cut()
    return replace(whole, steps=whole.steps[:1], headers={}, framing="close")


def answer(images: object, info: object = None, *, body: Mapping[str, object] | None = None) -> Script:
    """A 200 with these images; ``info`` is written as a JSON string, unless it is a text already."""
    told = info if isinstance(info, str) or info is None else json.dumps(info)
    return status(200, {"images": images, "parameters": body or {}, "info": told})


def encoded(content: bytes) -> str:
    """A picture as the server writes it."""
    return base64.b64encode(content).decode()


def picture(width: int, height: int, seed: int) -> bytes:
    """A PNG with the text that these servers put in, so that each seed has its own bytes."""
    content = flat_png(width, height)
    text = png_chunk(b"tEXt", f"parameters\x00Steps: 28, Seed: {seed}".encode())
    return content[:33] + text + content[33:]


class FakeA1111(FakeServer):
    """The server; see the module.

    ``held``: pictures wait for ``finish()``. ``seconds``: what a picture takes otherwise,
    ``stop_seconds`` what its end takes, interrupted or not. ``key``: the value
    that the Authorization header must have. ``samplers``: the names it knows, None for any;
    ``sampler_status``: what an unknown one gets. ``progress``: what is told while it works; without one it
    follows from ``seconds``.
    """

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self.overlaps = 0
        self.interrupts = 0
        self.made = 0
        self.working = False
        self.progress = 0.0
        self.held = False
        self.seconds = 0.0
        self.stop_seconds = 0.0
        self.key: str | None = None
        self.samplers: frozenset[str] | None = None
        self.sampler_status = 404
        self.answers: dict[str, Script] = {}  # by path, in place of what it would say there
        self._scripts: deque[Script] = deque()
        self._works: set[asyncio.Task[Script]] = set()
        self._lock = asyncio.Lock()
        self._end = asyncio.Event()
        self._began = 0.0

    @property
    def url(self) -> str:
        """What the operator sets."""
        return self.origin

    @property
    def orders(self) -> list[dict[str, object]]:
        """The bodies of what was asked for, so far."""
        return [request.body for request in self.at(TXT2IMG)]

    def script(self, *scripts: Script) -> None:
        """Answer the next pictures with these, in order."""
        self._scripts.extend(scripts)

    def finish(self) -> None:
        """Let the picture that is worked on be ready."""
        self._end.set()

    async def stop(self) -> None:
        """Stop listening, and all work."""
        for work in self._works:
            work.cancel()
        await super().stop()

    async def respond(self, request: Request) -> Script:
        """Answer as these servers do."""
        if self.key is not None and request.headers.get("authorization") != self.key:
            return WRONG_PASSWORD
        if request.path in self.answers:
            return self.answers[request.path]
        if request.path == TXT2IMG and request.method == "POST":
            return await self._txt2img(request)
        return self._small_answer(request)

    def _small_answer(self, request: Request) -> Script:
        if request.path == PROGRESS:
            state = {"job": "txt2img" if self.working else "", "job_count": int(self.working)}
            return status(200, {"progress": self._share(), "eta_relative": 1.0, "state": state})
        if request.path == INTERRUPT and request.method == "POST":
            self.interrupts += 1
            self._end.set()
            return status(200, {})
        if request.path == "/sdapi/v1/options":
            return status(200, {"samples_format": "png", "sd_model_checkpoint": "usual.safetensors"})
        return NO_API

    async def _txt2img(self, request: Request) -> Script:
        if self._lock.locked():
            self.overlaps += 1
        if self._scripts:
            return self._scripts.popleft()
        refusal = self._refusal(request.body)
        if refusal is not None:
            return refusal
        work = asyncio.ensure_future(self._work(request.body))  # goes on if the client leaves
        self._works.add(work)
        work.add_done_callback(self._works.discard)
        return await asyncio.shield(work)

    def _share(self) -> float:
        if self.progress or not self.working or not self.seconds:
            return self.progress
        return min((time.monotonic() - self._began) / self.seconds, 0.99)

    def _refusal(self, body: Mapping[str, object]) -> Script | None:
        sampler = body.get("sampler_name")
        known = self.samplers is None or sampler is None or sampler in self.samplers
        return None if known else status(self.sampler_status, {"detail": "Sampler not found"})

    async def _work(self, body: Mapping[str, object]) -> Script:
        async with self._lock:
            self._end.clear()
            self.working = True
            self.progress = 0.0
            self._began = time.monotonic()
            await self.changed()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if self.held else self.seconds):
                    await self._end.wait()
            await asyncio.sleep(self.stop_seconds)
            self.working = False
            self.progress = 0.0
            self.made += 1
            await self.changed()
        return answer([encoded(_drawn(body))], _info(body), body=body)


def _number(body: Mapping[str, object], name: str, usual: int) -> int:
    value = body.get(name)
    return value if isinstance(value, int) else usual


def _drawn(body: Mapping[str, object]) -> bytes:
    return picture(_number(body, "width", 512), _number(body, "height", 512), _number(body, "seed", -1))


def _info(body: Mapping[str, object]) -> dict[str, object]:
    overrides = body.get("override_settings")
    model = overrides.get("sd_model_checkpoint") if isinstance(overrides, dict) else None
    seed = _number(body, "seed", -1)
    return {
        "prompt": body.get("prompt"),
        "seed": seed,
        "all_seeds": [seed],
        "width": _number(body, "width", 512),
        "height": _number(body, "height", 512),
        "sampler_name": body.get("sampler_name") or "Euler",
        "cfg_scale": body.get("cfg_scale"),
        "steps": _number(body, "steps", 50),
        "batch_size": 1,
        "sd_model_name": model or "usual",
        "sd_model_hash": "6ce0161689",
        "index_of_first_image": 0,
        "infotexts": [],
        "clip_skip": 1,
    }


async def _run(port: int, seconds: float) -> None:
    async with FakeA1111(port) as fake:
        fake.seconds = seconds
        print(fake.url, flush=True)  # noqa: T201 - the bench that started it reads this line
        await asyncio.Event().wait()


def main() -> None:
    """Serve until killed; print the base address first."""
    parser = argparse.ArgumentParser(description="A fake AUTOMATIC1111.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0, help="what a picture takes")
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(options.port, options.seconds))


if __name__ == "__main__":
    main()
