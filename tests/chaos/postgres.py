"""A PostgreSQL that can be killed as by a power cut, and started again on the same address.

Run as a script it starts the embedded server of a data folder, durable as in production, tells its address
and waits for SIGTERM: in a process of its own, since the server ends with the thread that started it.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from hub.db.embedded import EmbeddedPostgres
from tests.services.database_world import family, server_pid
from tests.services.hub import PROJECT
from tests.services.leash import Leashed

_START_SECONDS = 60.0
_STOP_SECONDS = 10.0


class PostgresNode:
    """One server with its own folder; what it has committed survives every :meth:`kill`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.dsn = ""
        self._starts = 0
        self._holder: Leashed | None = None

    def start(self) -> None:
        """Start the server and return when it answers; after a kill it replays its log first.

        Raises:
            RuntimeError: it did not start; the text holds what it said.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._starts += 1
        log = self.folder / f"start-{self._starts}.log"
        path = os.pathsep.join((str(PROJECT / "src"), str(PROJECT)))
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": path}
        command = [sys.executable, "-m", "tests.chaos.postgres", str(self.folder)]
        self._holder = Leashed(command, log=log, env=environment, cwd=PROJECT)
        deadline = time.monotonic() + _START_SECONDS
        while "\n" not in (said := log.read_text()):
            if not self._holder.running or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{said}")
            time.sleep(0.02)
        self.dsn = said.partition("\n")[0]

    def kill(self) -> None:
        """End the server and all its children at once, as ``kill -9`` or a power cut would."""
        with suppress(OSError, IndexError, ValueError):
            for pid in family(server_pid(self.folder)):  # the parent first, so that it replaces no child
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if self._holder is not None:
            self._holder.end()

    def stop(self) -> None:
        """Stop the server in good order."""
        if self._holder is not None:
            self._holder.signal(signal.SIGTERM)
            with suppress(Exception):
                self._holder.wait(_STOP_SECONDS)
            self._holder.end()


def _serve(folder: Path) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    database = EmbeddedPostgres(folder, durable=True)
    try:
        print(database.start(), flush=True)  # noqa: T201 whoever started it reads this line
        while True:
            signal.pause()
    except KeyboardInterrupt:
        database.stop()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
