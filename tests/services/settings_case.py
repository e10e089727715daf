"""What the tests of settings share: writing files, and asking what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.core.settings import Problem, SettingsError, load_settings


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def failing(environ: dict[str, str], cwd: Path) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        load_settings(environ, cwd)
    return caught.value


def problems(environ: dict[str, str], cwd: Path) -> list[tuple[str, str]]:
    return [(problem.name, problem.kind) for problem in failing(environ, cwd).problems]


def only_problem(environ: dict[str, str], cwd: Path) -> Problem:
    found = failing(environ, cwd).problems
    assert len(found) == 1, found
    return found[0]
