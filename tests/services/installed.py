"""An environment with the hub's wheel in it and nothing else but what the wheel asks for."""

from __future__ import annotations

import subprocess
import sys
import venv
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.services.hub import PROJECT


def build_wheel(folder: Path) -> Path:
    """Build the wheel as ``make package`` does and return it."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=PROJECT,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    (wheel,) = folder.glob("*.whl")
    return wheel


def install(wheel: Path, folder: Path) -> Path:
    """Make an environment in ``folder``, install the wheel, link what it requires; return its Python.

    What a network would bring is linked out of the environment that the tests run in, so the versions are
    the locked ones; a package that the wheel's metadata does not ask for is not there.
    """
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    command = [sys.executable, "-m", "uv", "pip", "install", "--offline", "--no-deps", "--quiet"]
    subprocess.run([*command, "--python", str(python), str(wheel)], check=True)
    (site,) = folder.glob("lib/python3*/site-packages")
    (metadata,) = site.glob("companion_hub-*.dist-info")
    for found in required(Distribution.at(metadata)).values():
        _link(found, site)
    return python


def required(of: Distribution, extras: frozenset[str] = frozenset()) -> dict[str, Distribution]:
    """Return everything that a distribution needs here, and what that needs, by name.

    Raises:
        PackageNotFoundError: one of them is not installed beside the tests.
    """
    found: dict[str, Distribution] = {}
    waiting = [(of, extras)]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        each, wished = waiting.pop()
        for line in each.requires or ():
            need = Requirement(line)
            name, more = canonicalize_name(need.name), frozenset(need.extras)
            if not _applies(need, wished) or (name, more) in seen:
                continue
            seen.add((name, more))
            found[name] = distribution(name)
            assert need.specifier.contains(found[name].version, prereleases=True), line
            waiting.append((found[name], more))
    return found


def _applies(need: Requirement, extras: frozenset[str]) -> bool:
    if need.marker is None:
        return True
    return any(need.marker.evaluate({"extra": extra}) for extra in extras or {""})


def _link(found: Distribution, site: Path) -> None:
    """Link the distribution's files and folders, not the programs beside them."""
    here = Path(str(found.locate_file("")))
    names = {file.parts[0] for file in found.files or () if file.parts[0] not in {"..", "__pycache__"}}
    for name in names:
        if not (site / name).exists():
            (site / name).symlink_to(here / name)
