"""A program on a leash: it ends, with all its children, when whoever holds the leash ends.

Run as a script it starts the command in a session of its own, tells its process id on standard output, and
kills the whole process group when the command ends or when its own standard input is closed. A pipe closes
however its holder dies, so not even ``kill -9`` of a test run leaves a server behind.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path


class Leashed:
    """A running program; its output goes to ``log``.

    Raises:
        FileNotFoundError: the program does not exist.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.log = log
        self._holder = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, str(log), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=env,
            cwd=cwd,
            start_new_session=True,  # Ctrl-C on the terminal is the test run's business
        )
        assert self._holder.stdout is not None
        told = self._holder.stdout.readline().strip()
        if not told:
            self.end()
            raise FileNotFoundError(f"could not start {command[0]}; see {log}")
        self.pid = int(told)

    @property
    def running(self) -> bool:
        """Whether the program has not ended yet."""
        return self._holder.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program itself, not to its children."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def wait(self, seconds: float) -> int:
        """Wait for the end and return the exit code (negative: the signal).

        Raises:
            subprocess.TimeoutExpired: it is still running.
        """
        code = self._holder.wait(seconds)
        return code if code < 128 else 128 - code

    def end(self) -> None:
        """Kill the program and everything it started, and wait until they are gone."""
        for pipe in (self._holder.stdin, self._holder.stdout):
            if pipe is not None and not pipe.closed:
                pipe.close()
        self._holder.wait(30)


def _hold(log: str, command: list[str]) -> int:
    with Path(log).open("ab") as output:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    print(child.pid, flush=True)  # noqa: T201 the holder reads it
    os.close(sys.stdout.fileno())
    threading.Thread(target=_kill_at_end_of_input, args=(child.pid,), daemon=True).start()
    # The leader stays a zombie until its group is gone, so that its id cannot belong to anyone else yet.
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    _kill_group(child.pid)
    code = child.wait()
    return code if code >= 0 else 128 - code


def _kill_at_end_of_input(group: int) -> None:
    while os.read(0, 1024):
        pass
    _kill_group(group)


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    os._exit(_hold(sys.argv[1], sys.argv[2:]))
