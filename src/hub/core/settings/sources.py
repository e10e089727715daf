"""Which value wins: hub.toml < .env < the environment < files that ``*_FILE`` names."""

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec import Struct

from hub.core.settings.fields import Field
from hub.core.settings.files import AbsentError, UnreadableError, read_dotenv, read_text, read_toml
from hub.core.settings.problems import Kind, Problem, printable
from hub.core.settings.schema import FIELDS

_CONFIG_VARIABLE = "HUB_CONFIG_FILE"
_CONFIG_PATH = "config/hub.toml"
_DOTENV = ".env"
_ENVIRONMENT = "environment"
_PREFIX = "HUB_"
_TEST_PREFIX = "HUB_TEST_"
_LIKENESS = 0.7


class Given(Struct, frozen=True, kw_only=True):
    """A value as someone wrote it; its repr keeps it to itself."""

    name: str
    """The name it was given under: HUB_PORT, NOVITA_KEY, ..."""
    value: object
    """``None`` where it could not be had; that is already reported."""
    origin: str
    typed: bool = False
    """Whether the source has types of its own (TOML) or only text."""

    def __repr__(self) -> str:
        return f"Given({self.name!r}, origin={self.origin!r})"


class Sources(Struct, frozen=True, kw_only=True):
    """The winning value of each setting that somebody gave, and what was wrong on the way."""

    given: dict[str, Given]
    problems: list[Problem]


def gather(environ: Mapping[str, str], cwd: Path) -> Sources:
    """Read every source below ``cwd`` and pick the strongest value for each setting."""
    reader = _Reader(environ, cwd)
    table, path = reader.config()
    given: dict[str, Given] = {}
    for field in FIELDS.values():
        found = reader.setting(field)
        if found is None and field.name in table:
            found = Given(name=field.variable, value=table[field.name], origin=path, typed=True)
        if found is not None:
            given[field.name] = found
    unknown = [*_unknown_variables(reader), *_unknown_keys(table, path)]
    return Sources(given=given, problems=[*reader.problems, *unknown])


class _Reader:
    """The environment over .env, with the rules for ``X_FILE`` and for the guide's names."""

    def __init__(self, environ: Mapping[str, str], cwd: Path) -> None:
        self.environ = environ
        self.cwd = cwd
        self.problems: list[Problem] = []
        self.values = {**self._dotenv(), **environ}

    def _dotenv(self) -> dict[str, str]:
        try:
            values, mistakes = read_dotenv(self.cwd / _DOTENV)
        except AbsentError:
            return {}
        except UnreadableError as error:
            self.problems.append(Problem(name=_DOTENV, kind="unreadable", detail=str(error)))
            return {}
        self.problems += [Problem(name=_DOTENV, kind="unreadable", detail=mistake) for mistake in mistakes]
        return values

    def origin(self, name: str) -> str:
        return _ENVIRONMENT if name in self.environ else _DOTENV

    def config(self) -> tuple[dict[str, object], str]:
        """Return the table of hub.toml and the path to show for it."""
        named = self.values.get(_CONFIG_VARIABLE)
        if named is not None and not named.strip():
            self._report(_CONFIG_VARIABLE, "empty", "expected the path of a TOML file")
            return {}, _CONFIG_PATH
        shown = printable(named or _CONFIG_PATH)
        try:
            return read_toml(self.cwd / (named or _CONFIG_PATH)), shown
        except UnreadableError as error:
            if named is not None:
                self._report(_CONFIG_VARIABLE, "unreadable", f"{shown} {error}")
            elif not isinstance(error, AbsentError):
                self.problems.append(Problem(name=shown, kind="unreadable", detail=str(error)))
            return {}, shown

    def setting(self, field: Field) -> Given | None:
        """Return the value of ``field``; its own name is stronger than any other wherever it stands."""
        for name in (field.variable, *field.aliases):
            found = self._named(name, field)
            if found is not None:
                return found
        return None

    def _named(self, name: str, field: Field) -> Given | None:
        file_name = f"{name}_FILE"
        if file_name in self.values:
            # A file named in the environment is stronger than .env; two on one level are a mistake.
            if name in self.environ or (name in self.values and file_name not in self.environ):
                detail = f"{name} and {file_name} are both set: keep one of them"
                self._report(field.variable, "malformed", detail, origin="")
                return Given(name=name, value=None, origin="")
            return Given(name=name, value=self._content(file_name), origin=file_name)
        if name not in self.values:
            return None
        origin = self.origin(name) if name == field.variable else f"{self.origin(name)}: {name}"
        return Given(name=name, value=self.values[name], origin=origin)

    def _content(self, file_name: str) -> str | None:
        path = self.values[file_name].strip()
        if not path:
            self._report(file_name, "empty", "expected the path of a file that holds the value")
            return None
        try:
            return read_text(self.cwd / path).rstrip("\r\n")
        except UnreadableError as error:
            # The path stays out of the message: people put the secret itself here by mistake.
            self._report(file_name, "unreadable", f"the file that it names {error}")
            return None

    def _report(self, name: str, kind: Kind, detail: str, origin: str | None = None) -> None:
        origin = self.origin(name) if origin is None else origin
        self.problems.append(Problem(name=name, kind=kind, detail=detail, origin=origin))


def _unknown_variables(reader: _Reader) -> Iterable[Problem]:
    known = [_CONFIG_VARIABLE]
    for field in FIELDS.values():
        known += [field.variable, f"{field.variable}_FILE"]
    for name in sorted(reader.values):
        if name.startswith(_PREFIX) and not name.startswith(_TEST_PREFIX) and name not in known:
            detail = "there is no such setting" + _suggestion(name, known)
            yield Problem(name=name, kind="unknown", detail=detail, origin=reader.origin(name))


def _unknown_keys(table: Mapping[str, object], path: str) -> Iterable[Problem]:
    for key, value in table.items():
        if key in FIELDS:
            continue
        if isinstance(value, dict):
            detail = "hub.toml has no sections: write every setting as one word, like llm_url"
        else:
            plain = key.lower().removeprefix(_PREFIX.lower())
            detail = "there is no such setting" + _suggestion(plain, list(FIELDS))
        yield Problem(name=key, kind="unknown", detail=detail, origin=path)


def _suggestion(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=_LIKENESS)
    return f" (did you mean {close[0]}?)" if close else ""
