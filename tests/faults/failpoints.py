"""Failpoints: a function of a running hub is interrupted once, when a test asks for it.

A test arms a point by making a file named after it, which holds what is to happen. The process that takes
the file away (only one can) is the one that it happens to: it crashes, freezes, fails, or leaves the step
out. Nothing of this is in the hub: :func:`install` wraps its functions before it starts.
"""

from __future__ import annotations

import errno
import functools
import inspect
import os
import signal
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from pathlib import Path
from typing import Any

from tests.faults.points import AFTER, BEFORE, FIRST, POINTS, Point, resolve

_ROOMS = ("hub", "actors")


class Action(StrEnum):
    """What happens at a failpoint."""

    CRASH = "crash"
    ERROR = "error"
    HANG = "hang"
    SKIP = "skip"
    FULL = "full"
    BROKEN = "broken"


#: What the operating system says of a disk that is full, or broken.
_ERRORS = {"full": errno.ENOSPC, "broken": errno.EIO}
#: Wrapped functions of the system are not what failpoints themselves use.
_rename = os.rename


class FailpointError(RuntimeError):
    """What the action ``error`` raises: nothing that any code is prepared for."""


class _SkippedError(Exception):
    """The step is to be left out."""


class Failpoints:
    """The folder through which tests and hub processes talk about failpoints."""

    def __init__(self, folder: Path) -> None:
        self._armed = folder / "armed"
        self._fired = folder / "fired"

    def clear(self) -> None:
        """Make the folder ready, with nothing armed and nothing fired."""
        for place in (self._armed, self._fired):
            place.mkdir(parents=True, exist_ok=True)
            for left in place.iterdir():
                left.unlink()

    def arm(self, point: str, side: str, action: Action) -> None:
        """Have the next process that comes by take this action, once."""
        draft = self._armed / f".{point}"
        draft.write_text(action)
        draft.rename(self._armed / f"{point}:{side}")

    def fired(self, point: str, side: str) -> int | None:
        """Return the id of the process that a point was fired in, None if it was not yet."""
        found = next(self._fired.glob(f"{point}:{side}@*"), None)
        return int(found.name.partition("@")[2]) if found else None

    def reach(self, point: str, side: str) -> None:
        """Do what is armed for this point, in the process that has reached it."""
        place = f"{point}:{side}"
        taken = self._fired / f"{place}@{os.getpid()}"
        try:
            _rename(self._armed / place, taken)
        except FileNotFoundError:
            return
        match action := Action(taken.read_text()):
            case Action.CRASH:
                _signal_self(signal.SIGKILL)
            case Action.HANG:
                _signal_self(signal.SIGSTOP)
            case Action.ERROR:
                raise FailpointError(place)
            case Action.SKIP:
                raise _SkippedError
            case Action.FULL | Action.BROKEN:
                raise OSError(_ERRORS[action], os.strerror(_ERRORS[action]), place)


def _signal_self(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)
    time.sleep(0.01)  # the signal may find another thread first; this one goes no further


_callers: ContextVar[tuple[str, ...]] = ContextVar("callers", default=())


def install(failpoints: Failpoints, every: Sequence[Point] = POINTS) -> None:
    """Wrap every point's function, wherever it has been imported to.

    Args:
        failpoints: tells what is armed.
        every: the points.

    Raises:
        LookupError: a point names what no longer exists.
    """
    for target in dict.fromkeys(point.target for point in every):
        holder, name = resolve(target)
        original = getattr(holder, name)
        points = [point for point in every if point.target == target]
        wrapped = _wrap(original, _Site(failpoints, target, points))
        setattr(holder, name, wrapped)
        replace(original, wrapped)


def replace(original: object, other: object) -> None:
    """Put another object in the place of one that modules of the hub have, under whichever name."""
    for module in _loaded():
        for name, value in tuple(vars(module).items()):
            if value is original:
                setattr(module, name, other)


def set_constant(target: str, value: float) -> None:
    """Give a module's constant another value, wherever it has been imported to under its name.

    Raises:
        LookupError: there is no such constant.
    """
    _, name = resolve(target)
    for module in _loaded():
        if name in vars(module):
            setattr(module, name, value)


def _loaded() -> list[Any]:
    return [module for name, module in tuple(sys.modules.items()) if name.partition(".")[0] in _ROOMS]


class _Site:
    """One wrapped function, and the points that lie at it."""

    def __init__(self, failpoints: Failpoints, target: str, points: list[Point]) -> None:
        self._failpoints = failpoints
        self._target = target
        self._points = points

    def reach(self, side: str, *, found: bool = True) -> None:
        for point in self._points:
            if point.within is not None and point.within not in _callers.get():
                continue
            if found or not point.if_found:
                self._failpoints.reach(point.name, side)

    @contextmanager
    def entered(self) -> Iterator[None]:
        token = _callers.set((*_callers.get(), self._target))
        try:
            yield
        finally:
            _callers.reset(token)


def _wrap(original: Callable[..., Any], site: _Site) -> Callable[..., Any]:
    if inspect.isasyncgenfunction(original):
        return _wrap_generator(original, site)
    if inspect.iscoroutinefunction(original):
        return _wrap_coroutine(original, site)
    return _wrap_function(original, site)


def _wrap_function(original: Callable[..., Any], site: _Site) -> Callable[..., Any]:
    @functools.wraps(original)
    def call(*args: Any, **options: Any) -> Any:
        try:
            site.reach(BEFORE)
            result = original(*args, **options)
            site.reach(AFTER)
        except _SkippedError:
            return None
        return result

    return call


def _wrap_coroutine(original: Callable[..., Awaitable[Any]], site: _Site) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(original)
    async def call(*args: Any, **options: Any) -> Any:
        with site.entered():
            try:
                site.reach(BEFORE)
                result = await original(*args, **options)
                site.reach(AFTER, found=bool(result))
            except _SkippedError:
                return None
            return result

    return call


def _wrap_generator(
    original: Callable[..., AsyncGenerator[Any, None]], site: _Site
) -> Callable[..., AsyncGenerator[Any, None]]:
    """Interrupt before anything was asked for, after the first piece, and before the last one is told."""

    @functools.wraps(original)
    async def call(*args: Any, **options: Any) -> AsyncGenerator[Any, None]:
        site.reach(BEFORE)
        pieces = original(*args, **options)
        try:
            is_first = True
            async for piece in pieces:
                if is_first:
                    site.reach(FIRST)
                    is_first = False
                if type(piece).__name__ == "Finish":
                    site.reach(AFTER)
                yield piece
        finally:
            await pieces.aclose()

    return call
