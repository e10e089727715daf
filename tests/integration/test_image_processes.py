"""The image processes themselves: when they live, how they are bounded, and what becomes of requests."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from hub.core import children
from hub.storage.codec.contracts import Encoded
from hub.storage.images import ImageProcesses, ImagesUnavailableError, UnreadableImageError
from hub.storage.images import child as child_module
from tests.services.pictures import Desk, memory_of, photo, plain
from tests.services.waiting import eventually

DEADLINE = 20.0
ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def opened(
    *, count: int = 1, seconds: float = 20.0, idle: float = 60.0
) -> AsyncIterator[ImageProcesses]:
    processes = ImageProcesses(count=count, timeout=seconds, idle=idle)
    try:
        yield processes
    finally:
        async with asyncio.timeout(DEADLINE):
            await processes.close()


@pytest.fixture(scope="module")
def small() -> bytes:
    content: bytes = photo(60, 40).jpegsave_buffer()
    return content


@pytest.fixture(scope="module")
def heavy() -> bytes:
    """Return a picture whose reading takes long enough, and enough memory, to be seen at it."""
    content: bytes = plain(6_500, 5_000).jpegsave_buffer(interlace=True, subsample_mode="off")
    return content


def desk_in(folder: Path, name: str, processes: ImageProcesses) -> Desk:
    (folder / name).mkdir()
    return Desk(folder / name, processes)


def gone(pid: int) -> bool:
    """Tell whether it has ended; one that nobody has asked about yet has, too."""
    try:
        return "\nState:\tZ" in proc(pid, "status")
    except FileNotFoundError:
        return True


def proc(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text()


def at_work(pid: int) -> Callable[[], bool]:
    return lambda: memory_of(pid, "VmRSS") > 90


async def begin(desk: Desk, heavy: bytes) -> tuple[asyncio.Task[Encoded], int]:
    """Give a heavy picture to the only process, and return when it is being read."""
    desk.processes.warm()
    await eventually(lambda: bool(desk.processes.pids))
    task = asyncio.create_task(desk.encode(heavy))
    (pid,) = desk.processes.pids
    await eventually(at_work(pid))
    return task, pid


async def test_nothing_runs_before_there_is_work(tmp_path: Path, small: bytes) -> None:
    async with opened(count=2) as processes:
        assert processes.pids == []
        desk = Desk(tmp_path, processes)
        for _ in range(3):
            await desk.encode(small)
        assert len(processes.pids) == 1, "one after the other need one process"


async def test_warming_starts_one_that_the_next_request_takes(tmp_path: Path, small: bytes) -> None:
    async with opened(count=2) as processes:
        processes.warm()
        processes.warm()
        await eventually(lambda: bool(processes.pids))
        warm = processes.pids
        await Desk(tmp_path, processes).encode(small)
        assert processes.pids == warm
        assert len(warm) == 1


async def test_there_are_never_more_than_count_and_every_request_has_its_own_answer(tmp_path: Path) -> None:
    async with opened(count=2) as processes:
        desks = [desk_in(tmp_path, str(number), processes) for number in range(12)]
        most = 0

        async def send(number: int) -> Encoded:
            nonlocal most
            encoded = await desks[number].encode(photo(40 + number, 30).pngsave_buffer())
            most = max(most, len(processes.pids))
            return encoded

        encoded = await asyncio.gather(*(send(number) for number in range(12)))
        assert [each.width for each in encoded] == [40 + number for number in range(12)]
        assert most == 2


async def test_idle_processes_end(tmp_path: Path, small: bytes) -> None:
    async with opened(idle=0.3) as processes:
        desk = Desk(tmp_path, processes)
        await desk.encode(small)
        (pid,) = processes.pids
        await eventually(lambda: gone(pid))
        assert processes.pids == []
        await desk.encode(small)
        processes.warm()
        await eventually(lambda: not processes.pids, seconds=DEADLINE)


async def test_a_process_is_bounded(tmp_path: Path, small: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_TEST_CANARY", "canary")
    async with opened(seconds=5) as processes:
        await Desk(tmp_path, processes).encode(small)
        (pid,) = processes.pids
        limits = {line[:25].strip(): line[25:].split()[0] for line in proc(pid, "limits").splitlines()}
        assert int(limits["Max address space"]) <= 512 << 20
        assert int(limits["Max file size"]) <= 64 << 20
        assert int(limits["Max core file size"]) == 0
        assert int(limits["Max open files"]) <= 64
        assert int(limits["Max cpu time"]) <= 8
        assert int(proc(pid, "oom_score_adj")) > 0
        assert "canary" not in proc(pid, "environ")
        assert os.getsid(pid) == pid, "Ctrl-C on the terminal must not reach it"
        assert memory_of(pid, "VmRSS") < 80


async def test_what_a_large_picture_took_is_given_back(tmp_path: Path, heavy: bytes) -> None:
    async with opened() as processes:
        await Desk(tmp_path, processes).encode(heavy)
        (pid,) = processes.pids
        assert memory_of(pid, "VmHWM") > 150
        await eventually(lambda: memory_of(pid, "VmRSS") < 80)


async def test_a_crash_costs_one_request(tmp_path: Path, small: bytes, heavy: bytes) -> None:
    async with opened() as processes:
        task, pid = await begin(desk_in(tmp_path, "1", processes), heavy)
        waiting = asyncio.create_task(desk_in(tmp_path, "2", processes).encode(small))
        with capture_logs() as logs:
            os.kill(pid, signal.SIGSEGV)
            with pytest.raises(UnreadableImageError, match="cannot be read"):
                await task
        assert [(each["log_level"], each["how"]) for each in logs] == [("warning", "signal SIGSEGV")]
        assert (await waiting).width == 60
        assert pid not in processes.pids


async def test_what_hangs_is_ended(tmp_path: Path, small: bytes, heavy: bytes) -> None:
    async with opened(seconds=2) as processes:
        desk = Desk(tmp_path, processes)
        task, pid = await begin(desk, heavy)
        os.kill(pid, signal.SIGSTOP)
        with capture_logs() as logs, pytest.raises(UnreadableImageError, match="too long"):
            await task
        assert [each["log_level"] for each in logs] == ["warning"]
        await eventually(lambda: gone(pid))
        assert (await desk.encode(small)).width == 60


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_process_lost_between_requests_costs_nothing(
    tmp_path: Path, small: bytes, how: signal.Signals
) -> None:
    async with opened(seconds=1) as processes:
        desk = Desk(tmp_path, processes)
        await desk.encode(small)
        (pid,) = processes.pids
        os.kill(pid, how)
        assert (await desk.encode(small)).width == 60
        await eventually(lambda: gone(pid))


async def test_a_cancelled_request_leaves_no_answer_behind(
    tmp_path: Path, small: bytes, heavy: bytes
) -> None:
    async with opened() as processes:
        task, pid = await begin(desk_in(tmp_path, "1", processes), heavy)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await desk_in(tmp_path, "2", processes).encode(small)).width == 60
        await eventually(lambda: gone(pid))
        assert len(processes.pids) == 1


async def test_requests_cancelled_at_any_time_mix_up_nothing(tmp_path: Path) -> None:
    async with opened(count=2) as processes:
        desks = [desk_in(tmp_path, str(number), processes) for number in range(30)]
        tasks = [
            asyncio.create_task(desk.encode(photo(40 + number, 30).pngsave_buffer()))
            for number, desk in enumerate(desks)
        ]
        for number, task in enumerate(tasks):
            if number % 3:
                asyncio.get_running_loop().call_later(0.01 * number, task.cancel)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for number, result in enumerate(results):
            cancelled = isinstance(result, asyncio.CancelledError) and number % 3
            assert cancelled or (isinstance(result, Encoded) and result.width == 40 + number), result
        assert len(processes.pids) <= 2


async def test_closing_ends_everything(tmp_path: Path, small: bytes, heavy: bytes) -> None:
    async with opened() as processes:
        task, pid = await begin(desk_in(tmp_path, "1", processes), heavy)
        waiting = asyncio.create_task(desk_in(tmp_path, "2", processes).encode(small))
        await asyncio.sleep(0)
        async with asyncio.timeout(DEADLINE):
            await processes.close()
        assert gone(pid)
        later = desk_in(tmp_path, "3", processes).encode(small)
        for result in await asyncio.gather(task, waiting, later, return_exceptions=True):
            assert isinstance(result, ImagesUnavailableError)
        processes.warm()
        assert processes.pids == []


async def test_no_process_can_be_started(
    tmp_path: Path, small: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened() as processes:
        desk = Desk(tmp_path, processes)
        with monkeypatch.context() as patch, capture_logs() as logs:
            patch.setattr(child_module, "_PROGRAM", "hub.storage.codec.no_such_program")
            with pytest.raises(ImagesUnavailableError, match="try again") as caught:
                await desk.encode(small)
        assert caught.value.status == 503
        assert logs[-1]["log_level"] == "error"
        assert "no_such_program" in logs[0]["reason"]
        assert (await desk.encode(small)).width == 60, "it is tried again with the next picture"


LIAR = """
import sys
print('{"type":"ready"}', flush=True)
sys.stdin.readline()
print('{"type":"begun"}', flush=True)
sys.stdout.write(LIE)
sys.stdout.flush()
sys.stdin.readline()
"""


@pytest.mark.parametrize(
    "lie",
    [
        '{"type":"begun"}\\n',
        '{"type":"converted"}\\n',
        '{"type":"encoded","width":"wide"}\\n',
        "Segmentation\\n",
        "endless" * 20_000,
    ],
    ids=["again", "another", "wrong", "words", "endless"],
)
async def test_a_process_that_talks_nonsense_is_not_believed(
    tmp_path: Path, small: bytes, monkeypatch: pytest.MonkeyPatch, lie: str
) -> None:
    (tmp_path / "liar.py").write_text(LIAR.replace("LIE", f"'{lie}'"))
    async with opened() as processes:
        desk = Desk(tmp_path, processes)
        with monkeypatch.context() as patch:
            patch.setattr(child_module, "_PROGRAM", "liar")
            patch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
            with pytest.raises(UnreadableImageError, match="cannot be read"):
                await desk.encode(small)
        assert (await desk.encode(small)).width == 60


KILLED_HUB = """
import asyncio, sys
from pathlib import Path
from hub.storage.images import ImageProcesses
from tests.services.pictures import Desk
async def main():
    processes = ImageProcesses()
    desk = Desk(Path(sys.argv[1]), processes)
    await desk.encode(Path(sys.argv[2]).read_bytes())
    print(processes.pids[0], flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


async def test_a_process_ends_with_its_parent(
    tmp_path: Path, small: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hub that is killed leaves none behind, even one that no longer looks at its input."""
    picture = tmp_path / "picture"
    picture.write_bytes(small)
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
    process = await children.spawn("-c", KILLED_HUB, str(tmp_path), str(picture), environment={})
    assert process.stdout is not None
    async with asyncio.timeout(DEADLINE):
        pid = int(await process.stdout.readline())
    os.kill(pid, signal.SIGSTOP)
    process.kill()
    await process.communicate()
    try:
        await eventually(lambda: gone(pid))
    finally:
        with suppress(ProcessLookupError):  # stopped, it would stay for ever
            os.kill(pid, signal.SIGKILL)
