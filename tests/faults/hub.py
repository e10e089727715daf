"""``python -m tests.faults.hub up|web|worker``: the hub with failpoints, under a supervisor.

``python -m tests.faults.hub images ...`` runs that command with failpoints, once. HUB_TEST_POINTS=images
installs those of writing and removing pictures, in place of those of a turn.

HUB_TEST_FAILPOINTS names the folder of :class:`Failpoints`; HUB_TEST_PERIODS is a JSON object of constants
and the seconds they have instead; HUB_TEST_QUEUES keeps hubs apart that share a RabbitMQ. As systemd would,
the supervisor starts the hub again whenever it ends, until it is told to stop itself. It forks what has
been imported already, so that a start is cheap.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from hub.cli import main as hub_main
from hub.jobs.messages import queue_name
from tests.faults.failpoints import Failpoints, install, replace, set_constant
from tests.faults.image_points import install_image_points

#: A hub that ends by itself sooner than this is not started again.
_SHORTEST_LIFE = 0.3


class Supervisor:
    """Keeps one hub running."""

    def __init__(self) -> None:
        self._hub = 0
        self._is_stopping = False

    def run(self) -> int:
        """Run the hub until SIGTERM; return its exit code."""
        signal.signal(signal.SIGTERM, self._stop)
        while True:
            began = time.monotonic()
            self._hub = os.fork()
            if self._hub == 0:
                _be_the_hub()
            code = os.waitstatus_to_exitcode(os.waitpid(self._hub, 0)[1])
            ended_early = code > 0 and time.monotonic() - began < _SHORTEST_LIFE
            if self._is_stopping or ended_early:
                return code

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        self._is_stopping = True
        if self._hub:
            os.kill(self._hub, number)


def _be_the_hub() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    print(f"hub process {os.getpid()}", flush=True)  # noqa: T201 - tests read which process it is
    hub_main(prog_name="hub")
    os._exit(0)


def main() -> None:
    """Prepare the hub and supervise it."""
    for target, seconds in json.loads(os.environ.get("HUB_TEST_PERIODS", "{}")).items():
        set_constant(target, float(seconds))
    if apart := os.environ.get("HUB_TEST_QUEUES"):
        replace(queue_name, lambda kind: f"{queue_name(kind)}.{apart}")
    folder = Path(os.environ["HUB_TEST_FAILPOINTS"])
    if os.environ.get("HUB_TEST_POINTS") == "images":
        install_image_points(folder)
    else:
        install(Failpoints(folder))
    if sys.argv[1] == "images":  # a command, not a server
        hub_main(prog_name="hub")
    sys.exit(Supervisor().run())


if __name__ == "__main__":
    main()
