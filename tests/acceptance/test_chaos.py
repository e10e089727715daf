"""The scenarios of ``make chaos`` in their short size: processes are killed, and every promise is kept."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.chaos.progress import Progress
from tests.chaos.scenarios import SCENARIOS
from tests.chaos.sizes import Size
from tests.chaos.world import World, open_world
from tests.services.rabbitmq import RabbitMQNode

#: Fixed, so that a run can be repeated; ``make chaos`` draws another one each time.
SEED = 20


@pytest.fixture(scope="module")
async def world(rabbitmq: RabbitMQNode, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """Yield a cluster with a PostgreSQL of its own, since that is killed too."""
    async with open_world(tmp_path_factory.mktemp("chaos"), seed=SEED, rabbitmq=rabbitmq) as found:
        yield found


@pytest.mark.parametrize("name", [name for name, each in SCENARIOS.items() if Size.SHORT in each.sizes])
async def test_every_promise_is_kept(world: World, name: str) -> None:
    world.random.seed(SEED)
    findings = await SCENARIOS[name].run(world, Size.SHORT, Progress(name, silent=True))
    assert findings
    broken = [finding for finding in findings if not finding.met]
    assert not broken, broken
