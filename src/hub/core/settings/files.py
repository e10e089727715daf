"""Reading settings files: their text, the lines of .env, the table of hub.toml."""

import re
import tomllib
from pathlib import Path

_MAX_BYTES = 1_048_576
_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")
_COMMENT = re.compile(r"(?:^|\s)#")
_SINGLE = re.compile(r"'([^']*)'\s*(?:#.*)?")
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"\s*(?:#.*)?')
_ESCAPE = re.compile(r'\\([nrt"\\$])')
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


class UnreadableError(Exception):
    """A file that cannot be used; the text goes on after the file's name and repeats nothing of it."""


class AbsentError(UnreadableError):
    """There is no such file."""


def read_text(path: Path) -> str:
    """Return the file's text: at most 1 MB of UTF-8, a byte order mark removed.

    Raises:
        UnreadableError: AbsentError where there is no such file.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise AbsentError("does not exist") from None
    except (OSError, ValueError) as error:
        raise UnreadableError(f"cannot be read: {getattr(error, 'strerror', None) or 'bad path'}") from None
    if len(data) > _MAX_BYTES:
        raise UnreadableError("is larger than 1 MB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UnreadableError(f"is not UTF-8 text (line {line})") from None


def read_toml(path: Path) -> dict[str, object]:
    """Return the table of a TOML file.

    Raises:
        UnreadableError: with line and column where the syntax is wrong.
    """
    try:
        return tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise UnreadableError(f"is not valid TOML: {error}") from None
    except (ValueError, RecursionError):  # a number or a nesting beyond the interpreter's limits
        raise UnreadableError("is not valid TOML") from None


def read_dotenv(path: Path) -> tuple[dict[str, str], list[str]]:
    """Return the values of a .env file, and for each line that is none what is wrong with it.

    Raises:
        UnreadableError: the file as a whole cannot be read.
    """
    values: dict[str, str] = {}
    mistakes: list[str] = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        try:
            pair = _pair(line.strip())
        except ValueError as error:
            mistakes.append(f"line {number}: {error}")
            continue
        if pair is not None:
            values[pair[0]] = pair[1]
    return values, mistakes


def _pair(line: str) -> tuple[str, str] | None:
    # Single quotes: all literal. Double quotes: the escapes above. None: a # after a space is a comment.
    # Nothing is interpolated, so that a secret may hold a $.
    if not line or line.startswith("#"):
        return None
    match = _LINE.fullmatch(line)
    if match is None:
        raise ValueError("expected NAME=value")
    name, value = match.group(1), match.group(2)
    if value[:1] not in {"'", '"'}:
        return name, _COMMENT.split(value, maxsplit=1)[0].strip()
    quoted = (_SINGLE if value[0] == "'" else _DOUBLE).fullmatch(value)
    if quoted is None:
        raise ValueError("the quote is not closed, or something follows it")
    if value[0] == "'":
        return name, quoted.group(1)
    return name, _ESCAPE.sub(lambda found: _ESCAPES.get(found.group(1), found.group(1)), quoted.group(1))
