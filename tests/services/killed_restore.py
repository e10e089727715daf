"""``hub restore``, killed at a moment: run as a module, its first word names the moment."""

from __future__ import annotations

import os
import signal
import sys
from unittest.mock import patch

from hub.backup import load
from hub.backup.staging import Staging
from hub.cli import main


def _die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _prepare(moment: str) -> None:
    if moment == "gathered":  # everything lies in the staging folder
        patch.object(Staging, "close", _die).start()
    elif moment == "placed":  # the files are in their places, the rows not committed
        place = Staging.place

        def placed(staging: Staging, digest: str) -> None:
            place(staging, digest)
            _die()

        patch.object(Staging, "place", placed).start()
    elif moment == "loading":
        patch.object(load, "mark", _die).start()
    elif moment == "committed":
        patch.object(Staging, "finish", _die).start()


if __name__ == "__main__":
    _prepare(sys.argv.pop(1))
    main(["restore", *sys.argv[1:]])
