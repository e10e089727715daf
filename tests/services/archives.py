"""Archives of backups as another program reads and writes them: Python's own tarfile, and zstd."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["altered", "manifest_of", "packed", "read", "zstd"]

MANIFEST = "manifest.json"


def read(archive: Path) -> dict[str, bytes]:
    """Return what every entry holds, in their order."""
    with tarfile.open(fileobj=io.BytesIO(zstd.decompress(archive.read_bytes()))) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]


def manifest_of(archive: Path) -> dict[str, Any]:
    """Return what an archive says of itself."""
    return dict(json.loads(read(archive)[MANIFEST]))


def packed(entries: Mapping[str, bytes], *more: tarfile.TarInfo) -> bytes:
    """Return an archive with these entries, and after them others without content."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in entries.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for member in more:
            tar.addfile(member)
    return zstd.compress(target.getvalue())


def altered(
    archive: Path, target: Path, *, about: Mapping[str, Any] | None = None, migrations: Iterable[str] = ()
) -> Path:
    """Write an archive that says something else of itself, and has not had these migrations."""
    entries = read(archive)
    manifest = {**json.loads(entries[MANIFEST]), **(about or {})}
    had = manifest["database"]["migrations"]
    manifest["database"]["migrations"] = [each for each in had if each not in migrations]
    del manifest["files"]["about.json"], entries["about.json"]
    target.write_bytes(packed({**entries, MANIFEST: json.dumps(manifest).encode()}))
    return target


def without(archive: Path, target: Path, name: str, content: bytes | None) -> Path:
    """Write an archive without one entry, or with other content in it, whose manifest agrees."""
    entries = read(archive)
    manifest = json.loads(entries.pop(MANIFEST))
    if content is None:
        del entries[name], manifest["files"][name]
    else:
        entries[name] = content
        manifest["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
        table = next(each for each in manifest["database"]["tables"] if f"/{each['name']}/" in name)
        table["rows"] = content.count(b"\n")
        manifest["counts"][table["name"]] = table["rows"]
    target.write_bytes(packed({**entries, MANIFEST: json.dumps(manifest).encode()}))
    return target
