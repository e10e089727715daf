"""Put the settings together, or say everything that keeps them from being used."""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from hub.core.settings.convert import EmptyValueError, convert, expected
from hub.core.settings.problems import Problem, SettingsError
from hub.core.settings.rules import check
from hub.core.settings.schema import FIELDS, Settings
from hub.core.settings.sources import Given, gather

NOVITA_URL = "https://api.novita.ai/openai/v1"
"""Novita's OpenAI-compatible address, as its API reference gives it."""


class Loaded(Struct, frozen=True, kw_only=True):
    """The settings, and for each field where its value came from.

    An origin is ``default``, the path of hub.toml, ``.env``, ``environment``, the ``HUB_X_FILE`` that named
    the file, or one of these with the other name that was used (``environment: NOVITA_KEY``).
    """

    settings: Settings
    origins: Mapping[str, str]


def load_settings(environ: Mapping[str, str] | None = None, cwd: Path | None = None) -> Settings:
    """Return the settings; see :func:`load`."""
    return load(environ, cwd).settings


def load(environ: Mapping[str, str] | None = None, cwd: Path | None = None) -> Loaded:
    """Read defaults < hub.toml < .env < environment < files named by ``*_FILE``.

    Args:
        environ: stands in for the process's environment.
        cwd: stands in for the working directory, where .env and config/hub.toml are looked for.

    Raises:
        SettingsError: with every problem there is.
    """
    loaded, problems = _assemble(os.environ if environ is None else environ, cwd or Path.cwd())
    if problems:
        raise SettingsError(problems)
    return loaded


def _assemble(environ: Mapping[str, str], cwd: Path) -> tuple[Loaded, list[Problem]]:
    sources = gather(environ, cwd)
    problems = sources.problems
    values: dict[str, object] = {}
    broken: set[str] = set()
    for name, given in sources.given.items():
        if given.value is None:  # reported where it was read
            broken.add(name)
            continue
        try:
            values[name] = convert(FIELDS[name], given)
        except EmptyValueError:
            problems.append(_problem(name, given, f"expected {expected(FIELDS[name])}", empty=True))
            broken.add(name)
        except ValueError as error:
            problems.append(_problem(name, given, str(error)))
            broken.add(name)
    origins = {name: sources.given[name].origin if name in values else "default" for name in FIELDS}
    _use_novita(values, origins, sources.given)
    settings = msgspec.convert(values, Settings)
    problems += check(settings, broken)
    return Loaded(settings=settings, origins=origins), problems


def _use_novita(values: dict[str, object], origins: dict[str, str], given: Mapping[str, Given]) -> None:
    """Point the hub at Novita when its key is all that was given, as the guide's .env does."""
    key_name = given["llm_key"].name if "llm_key" in values else ""
    if key_name == "NOVITA_KEY" and "llm_url" not in given:
        values["llm_url"] = NOVITA_URL
        origins["llm_url"] = "default for NOVITA_KEY"


def _problem(name: str, given: Given, detail: str, *, empty: bool = False) -> Problem:
    return Problem(
        name=FIELDS[name].variable, kind="empty" if empty else "malformed", detail=detail, origin=given.origin
    )
