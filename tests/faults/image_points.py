"""Where the writing and the removing of a picture can be interrupted, in the hub and in its image processes.

The functions of the operating system are among them: nothing else in a web process uses those while a
picture comes in. ``python -m tests.faults.image_points PARENT_PID CPU_SECONDS`` is an image process with
failpoints.
"""

from __future__ import annotations

import os
from pathlib import Path

import hub.storage.images.child
from hub.storage.codec import program
from hub.storage.codec.confinement import ENVIRONMENT
from tests.faults.failpoints import Failpoints, install
from tests.faults.points import Point, commit

_QUERIES = "hub.domain.images.queries"
_FILES = "hub.storage.files"
_REMOVAL = "hub.storage.removal.Removal"
_RECORD = "hub.domain.images.service.ImageService._record"
_REMOVE = "hub.domain.images.collector.Collector.remove_unreferenced"

WRITE_POINTS: tuple[Point, ...] = (
    Point(f"{_FILES}.create"),
    Point("hub.web.uploads._write_all"),
    Point("hub.storage.images.pool.ImageProcesses.encode"),
    Point("os.fsync"),
    Point("os.link"),
    Point("os.mkdir"),
    Point("os.rename"),
    Point(f"{_FILES}.sync_folder"),
    Point(f"{_QUERIES}.lock_owner"),
    Point(f"{_QUERIES}.delete_header"),
    Point(f"{_QUERIES}.insert"),
    Point(f"{_FILES}.FileStore.exists"),
    Point(_RECORD),
    commit(_RECORD),
)
REMOVE_POINTS: tuple[Point, ...] = (
    Point(f"{_REMOVAL}.take"),
    Point(f"{_REMOVAL}._hide"),
    Point(f"{_REMOVAL}.drop"),
    Point(_REMOVE),
    commit(_REMOVE),
)
#: Within an image process.
CHILD_POINTS: tuple[Point, ...] = (Point("hub.storage.codec.pictures.overwrite"), Point("os.fsync"))

_FOLDER = "HUB_TEST_FAILPOINTS"


def child_folder(folder: Path) -> Path:
    """Return where the failpoints of image processes lie."""
    return folder / "child"


def install_image_points(folder: Path) -> None:
    """Put the failpoints into this process, and into the image processes that it starts."""
    hub.storage.images.child._PROGRAM = "tests.faults.image_points"
    ENVIRONMENT[_FOLDER] = str(child_folder(folder))
    install(Failpoints(folder), (*WRITE_POINTS, *REMOVE_POINTS))


if __name__ == "__main__":
    install(Failpoints(Path(os.environ[_FOLDER])), CHILD_POINTS)
    program.main()
