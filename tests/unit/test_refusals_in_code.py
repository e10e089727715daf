"""What a route can refuse is read from its source, through everything that it calls."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from hub.core.errors import HubError
from hub.web.documents.refusals import Reader


class DryError(HubError):
    code = "dry"


class WetError(HubError):
    code = "wet"


class Garden:
    def __init__(self) -> None:
        self.pond = Pond()

    async def visit(self) -> None:
        await self.pond.look()


class Pond:
    async def look(self) -> None:
        raise WetError("Take an umbrella.")


def dry() -> DryError:
    return DryError("Water it.")


async def through_attributes(garden: Garden) -> None:
    await garden.visit()


async def through_a_factory() -> None:
    raise dry()


def dry_or_wet(*, rains: bool) -> HubError:
    return WetError("Take an umbrella.") if rains else DryError("Water it.")


async def through_a_choice() -> None:
    raise dry_or_wet(rains=True)


async def caught(garden: Garden) -> None:
    try:
        await garden.visit()
    except WetError:
        raise DryError("Water it.") from None


async def caught_and_raised_on(garden: Garden) -> None:
    try:
        await garden.visit()
    except HubError:
        garden.__init__()  # type: ignore[misc]  # something, before it goes on
        raise


async def handed_on(garden: Garden) -> None:
    await SimpleNamespace(later=print).later(garden.visit)


async def round_and_round(garden: Garden) -> None:
    await garden.visit()
    await round_and_round(garden)


@pytest.fixture(autouse=True)
def _as_if_of_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the hub's own functions are read."""
    module = sys.modules[__name__]
    for each in (*vars(module).values(), *vars(Garden).values(), *vars(Pond).values()):
        if isinstance(each, type(dry)):
            monkeypatch.setattr(each, "__module__", "hub.garden")


@pytest.mark.parametrize(
    ("function", "errors"),
    [
        (through_attributes, {WetError}),
        (through_a_factory, {DryError}),
        (through_a_choice, {DryError, WetError}),
        (caught, {DryError}),
        (caught_and_raised_on, {WetError}),
        (handed_on, {WetError}),
        (round_and_round, {WetError}),
    ],
)
def test_refusals_are_found(function: Callable[..., Any], errors: set[type[HubError]]) -> None:
    reader = Reader()
    assert reader.read(function).errors == errors
    assert reader.read(function).errors == errors


def test_the_sentence_of_an_error_is_kept() -> None:
    reader = Reader()
    reader.read(through_attributes)
    assert reader.details[WetError] == "Take an umbrella."
