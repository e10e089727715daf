"""The scenarios by name.

A new one is a function that takes the world, a size and a progress, and a line here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.chaos import (
    broker,
    cancel,
    double_sends,
    failpoints,
    image_faults,
    images,
    imports,
    rescue,
    slow,
    stream,
    turns,
    whole_turns,
)
from tests.chaos.progress import Progress
from tests.chaos.report import Finding
from tests.chaos.sizes import Size
from tests.chaos.world import World

BOTH = frozenset(Size)
ONLY_FULL = frozenset({Size.FULL})


@dataclass(frozen=True)
class Scenario:
    """What it does, and in which sizes; it leaves the world running."""

    run: Callable[[World, Size, Progress], Awaitable[list[Finding]]]
    sizes: frozenset[Size] = BOTH


SCENARIOS: dict[str, Scenario] = {
    "turns": Scenario(turns.run),
    "whole-turns": Scenario(whole_turns.run),
    "broker": Scenario(broker.run),
    "rescue": Scenario(rescue.lost_worker),
    "poison": Scenario(rescue.poison),
    "stale": Scenario(rescue.frozen_worker),
    "cancel": Scenario(cancel.run),
    "stream": Scenario(stream.run),
    "double-sends": Scenario(double_sends.run),
    "import": Scenario(imports.run),
    "failpoints": Scenario(failpoints.run, ONLY_FULL),
    "images-hostile": Scenario(images.hostile, ONLY_FULL),
    "images": Scenario(image_faults.run, ONLY_FULL),
    "slow": Scenario(slow.run, ONLY_FULL),
}
