"""What an image process may not do: outlive its parent, eat the machine, open other kinds of files."""

from __future__ import annotations

import ctypes
import resource
import sys
from contextlib import suppress
from pathlib import Path

from hub.core.child import die_with

# Address space. The largest pictures that are taken need 365 MB of it, 280 of them in memory (measured);
# what wants more is stopped here.
_ADDRESS_SPACE = 512 << 20
_FILE_SIZE = 64 << 20  # of one file that is written
_OPEN_FILES = 64
_OOM_SCORE = "500"  # when the machine runs out of memory, this process goes before the server

#: For the environment of the process, since libvips reads them when it is loaded.
ENVIRONMENT = {
    "LC_ALL": "C",  # also: no archive of locales, which some systems map with 200 MB
    "VIPS_CONCURRENCY": "1",  # two processes with a thread each are faster than one with two
    "VIPS_MAX_COORD": "100000",  # our own limits are below it; some room above them is needed inside
    "VIPS_DISC_THRESHOLD": "4g",  # never into a temporary file
    "VIPS_WARNING": "0",  # set at all: no warnings, which would quote the file
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": "131072",  # large blocks go back at once, also after larger ones
}


def confine(parent: int) -> None:
    """Limit this process for as long as it lives.

    Raises:
        OSError, ValueError: the system does not allow it.
    """
    die_with(parent)
    for what, limit in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, _FILE_SIZE),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
    ):
        _lower(what, limit)
    if sys.platform == "linux":  # elsewhere address space is not limited in a useful way
        _lower(resource.RLIMIT_AS, _ADDRESS_SPACE)
        with suppress(OSError):  # a wish only: /proc may be read-only
            Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE)


def allow_seconds(seconds: int) -> None:
    """Let the kernel end this process after so many further seconds of computing, should nobody else."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(usage.ru_utime + usage.ru_stime) + 1 + seconds, hard))


def give_back() -> None:
    """Return the memory of the last picture to the system, where the C library can."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _lower(what: int, limit: int) -> None:
    _, hard = resource.getrlimit(what)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(what, (limit, limit))
