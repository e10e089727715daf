"""Files made to break decoders: each is either a picture after all or refused, and nothing else happens."""

from __future__ import annotations

from pathlib import Path

from hub.storage import layout
from hub.storage.files import FileStore
from tests.services.hostile import try_all
from tests.services.mutants import mutants

#: Fixed, so that a run can be repeated; ``make chaos`` draws another one each time.
SEED = 20
COUNT = 300


async def test_mutants_are_taken_or_refused(tmp_path: Path) -> None:
    layout.prepare(tmp_path)
    outcome = await try_all(mutants(SEED, COUNT), FileStore(tmp_path))
    assert not outcome.wrong
    assert not outcome.too_slow
    assert not outcome.left_behind
    assert sum(outcome.outcomes.values()) == COUNT
    assert outcome.peak_mb < 300
    assert min(outcome.outcomes[200], outcome.outcomes[422]) > COUNT / 10, "else they try nothing"


def test_the_same_seed_makes_the_same_mutants() -> None:
    assert list(mutants(SEED, 20)) == list(mutants(SEED, 20)) != list(mutants(SEED + 1, 20))
