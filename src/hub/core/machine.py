"""How much memory there is for this process, and how much is taken: of its container, or the machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

_KILOBYTE = 1024


class Memory(Struct, frozen=True):
    """In bytes; ``used`` leaves out what the system only keeps to be quick (files that it has read)."""

    used: int
    limit: int


class _Names(Struct, frozen=True):
    """Where a version of control groups keeps what it knows."""

    limit: str
    used: str
    kept: str


_SECOND = _Names("memory.max", "memory.current", "inactive_file")
_FIRST = _Names("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def memory(root: Path = Path("/")) -> Memory | None:
    """Return the memory of the container or service if it is limited, else the machine's.

    Args:
        root: below which the system's files lie.

    Returns:
        None where the system does not tell.
    """
    try:
        known = _numbers((root / "proc/meminfo").read_text(encoding="ascii"))
        total, available = known["MemTotal:"] * _KILOBYTE, known["MemAvailable:"] * _KILOBYTE
    except (OSError, KeyError, ValueError):
        return None
    limited = (found for found in _groups(root) if found.limit < total)
    return next(limited, None) or Memory(used=total - available, limit=total)


def _groups(root: Path) -> Iterator[Memory]:
    """Yield what control groups say that tell: the process's own, and a container's, which is the root."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        number, _, rest = line.partition(":")
        kinds, _, path = rest.partition(":")
        if number == "0" and not kinds:
            names, base = _SECOND, root / "sys/fs/cgroup"
        elif "memory" in kinds.split(","):
            names, base = _FIRST, root / "sys/fs/cgroup/memory"
        else:
            continue
        for folder in (base / path.lstrip("/"), base):
            if (found := _of_group(folder, names)) is not None:
                yield found


def _of_group(folder: Path, names: _Names) -> Memory | None:
    try:
        limit = int((folder / names.limit).read_text(encoding="ascii"))  # "max" where there is none
        used = int((folder / names.used).read_text(encoding="ascii"))
        kept = _numbers((folder / "memory.stat").read_text(encoding="ascii")).get(names.kept, 0)
    except (OSError, ValueError):
        return None
    return Memory(used=max(used - kept, 0), limit=limit)


def _numbers(text: str) -> dict[str, int]:
    """Read lines of a name and a number."""
    return {words[0]: int(words[1]) for line in text.splitlines() if len(words := line.split()) > 1}
