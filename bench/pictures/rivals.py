"""Others who do the same work as our image processes, each a process that takes orders as lines of JSON."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
from msgspec import Struct

PROJECT = Path(__file__).parents[2]
_SHARP = Path(__file__).parent / "sharp"
_INSTALL_SECONDS = 180
_STOP_SECONDS = 5.0
#: As the hub starts its own: a thread a picture.
_ENVIRONMENT = {"VIPS_CONCURRENCY": "1", "MALLOC_ARENA_MAX": "2", "OMP_NUM_THREADS": "1"}


class Work(Struct, frozen=True, kw_only=True):
    """Fit ``source`` into ``box`` x ``box`` pixels, write it and a thumbnail as AVIF."""

    source: str
    main: str
    thumb: str
    box: int
    quality: int
    effort: int
    thumb_box: int = 256
    #: For Pillow alone: ``ImageOps.contain`` instead of ``thumbnail``.
    contain: bool = False


class Said(Struct, kw_only=True):
    """What a rival says: that it is ready, or how the work of a number went."""

    id: int = 0
    ready: str = ""
    error: str = ""


class Rival:
    """A process that works; ``name`` says what it is, with its versions."""

    def __init__(self, process: asyncio.subprocess.Process, name: str) -> None:
        self._process = process
        self.name = name
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Said]] = {}
        self._reader = asyncio.create_task(self._read())

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def encode(self, work: Work) -> None:
        """Return when it is done.

        Raises:
            RuntimeError: it could not do it, or is gone.
        """
        number = next(self._numbers)
        answer: asyncio.Future[Said] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode({"id": number, **msgspec.structs.asdict(work)}) + b"\n")
        said = await answer
        if said.error:
            raise RuntimeError(f"{self.name}: {said.error}")

    async def _read(self) -> None:
        while (said := await _say(self._process)) is not None:
            self._waiting.pop(said.id).set_result(said)
        for waiting in self._waiting.values():
            waiting.set_result(Said(error="it ended"))

    async def end(self) -> None:
        """Let it go, and wait until it has gone."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._reader


@asynccontextmanager
async def libvips() -> AsyncIterator[Rival]:
    """Run the bare work: pyvips in a warm process, no hub around it."""
    async with _rival(sys.executable, "-m", "bench.pictures.rival_libvips") as rival:
        yield rival


@asynccontextmanager
async def pillow() -> AsyncIterator[Rival]:
    """Run Pillow."""
    async with _rival(sys.executable, "-m", "bench.pictures.rival_pillow") as rival:
        yield rival


@asynccontextmanager
async def sharp() -> AsyncIterator[Rival | None]:
    """Run sharp, or nothing where :func:`install_sharp` could not install it."""
    node = shutil.which("node")
    if node is None or not (_SHARP / "node_modules" / "sharp").is_dir():
        yield None
        return
    async with _rival(node, str(_SHARP / "rival.mjs")) as rival:
        yield rival


def install_sharp() -> str:
    """Install sharp beside its script, once; return why that is not possible, or nothing."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        return "Node.js and npm are not installed"
    installed, wanted = _SHARP / "node_modules" / ".package-lock.json", _SHARP / "package-lock.json"
    with suppress(FileNotFoundError):
        if installed.stat().st_mtime >= wanted.stat().st_mtime:
            return ""
    command = [npm, "ci", "--silent"]
    try:
        done = subprocess.run(
            command, cwd=_SHARP, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"`npm ci` in {_SHARP} did not end within {_INSTALL_SECONDS} s"
    return f"`npm ci` in {_SHARP} failed: {done.stderr.strip()[-200:]}" if done.returncode else ""


@asynccontextmanager
async def _rival(program: str, *arguments: str) -> AsyncIterator[Rival]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        program, *arguments, stdin=pipe, stdout=pipe, cwd=PROJECT, env=_environment()
    )
    said = await _say(process)
    if said is None or not said.ready:
        raise RuntimeError(f"{program} {' '.join(arguments)} did not start")
    rival = Rival(process, said.ready)
    try:
        yield rival
    finally:
        await rival.end()


async def _say(process: asyncio.subprocess.Process) -> Said | None:
    assert process.stdout is not None
    line = await process.stdout.readline()
    return msgspec.json.decode(line, type=Said) if line else None


def _environment() -> dict[str, str]:
    paths = [path for path in sys.path if path]
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "PYTHONPATH": ":".join(paths), **_ENVIRONMENT}
