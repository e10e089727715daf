"""The tests' own servers end with the tests, and a missing one is never passed over in CI."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from tests.services.fixtures import require_or_skip
from tests.services.leash import Leashed
from tests.services.waiting import eventually

HOLDER = """
import sys, time
from pathlib import Path
from tests.services.leash import Leashed
print(Leashed(["sh", "-c", "sleep 1000 & echo $! && wait"], log=Path(sys.argv[1])).pid, flush=True)
time.sleep(1000)
"""


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


async def test_killing_the_holder_ends_the_program_and_its_children(tmp_path: Path) -> None:
    log = tmp_path / "log"
    holder = await asyncio.create_subprocess_exec(sys.executable, "-c", HOLDER, str(log), stdout=PIPE)
    assert holder.stdout is not None
    program = int(await holder.stdout.readline())
    await eventually(lambda: log.read_text().strip() != "")
    child = int(log.read_text())
    assert _runs(program)
    assert _runs(child)
    holder.kill()
    await holder.wait()
    await eventually(lambda: not _runs(program) and not _runs(child))


def test_a_leashed_program_tells_how_it_ended(tmp_path: Path) -> None:
    program = Leashed(["sleep", "1000"], log=tmp_path / "log")
    program.signal(signal.SIGTERM)
    assert program.wait(10) == -signal.SIGTERM
    assert not program.running
    program.end()


def test_a_program_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        Leashed(["no-such-program"], log=tmp_path / "log")


@pytest.mark.parametrize(
    ("required", "outcome"), [("", "skip"), ("other", "skip"), ("other, rabbitmq", "fail")]
)
def test_a_missing_service_is_skipped_unless_it_is_required(
    monkeypatch: pytest.MonkeyPatch, required: str, outcome: str
) -> None:
    monkeypatch.setenv("HUB_TEST_REQUIRE", required)
    expected = {"skip": pytest.skip.Exception, "fail": pytest.fail.Exception}[outcome]
    with pytest.raises(expected, match="install it"):
        require_or_skip("rabbitmq", "install it")
