"""From what was written to a value of the right type, one setting at a time."""

import ipaddress
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args, get_origin

import msgspec

from hub.core.settings.addresses import parse_address
from hub.core.settings.fields import Field, Form
from hub.core.settings.problems import shortened
from hub.core.settings.sources import Given

_SWITCH = {"on": True, "true": True, "off": False, "false": False}
_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?")

_EXPECTED: dict[Form, str] = {
    "text": "text",
    "host": "an IP address or a host name",
    "folder": "the path of a folder",
    "file": "the path of a file",
    "secret": "32 random characters or more",
    "key": "a key of visible ASCII characters, no spaces",
    "database": "postgresql://user:password@host:5432/database",
    "broker": "amqp://user:password@host:5672/ (or amqps://)",
    "http": "an address like http://host:port/v1",
    "collector": "an address like http://host:4318, without /v1/traces",
    "dsn": "https://KEY@host/PROJECT, as Sentry shows it",
    "origins": "origins like https://chat.example, separated by commas",
    "networks": "addresses or networks like 10.0.0.2 or 10.0.0.0/24, separated by commas",
    "hosts": "names like chat.example or *.example.org, without ports, separated by commas",
    "receivers": "hosts like nas.lan or 192.168.1.5:8080, separated by commas",
}


class EmptyValueError(Exception):
    """The setting is there, its value is not."""


def expected(field: Field) -> str:
    """Return in words what ``field`` takes."""
    if field.form != "plain":
        return _EXPECTED[field.form]
    base = get_args(field.target)[0]
    if get_origin(base) is Literal:
        return "one of " + ", ".join(get_args(base))
    if base is bool:
        return "on or off"
    low, above, high = field.meta.ge, field.meta.gt, field.meta.le
    number = "a whole number" if base is int else "a number"
    if field.meta.multiple_of is not None:
        number = f"a multiple of {field.meta.multiple_of}"
    return f"{number} from {low} to {high}" if above is None else f"{number} above {above}, at most {high}"


def convert(field: Field, given: Given) -> object:
    """Return the value of ``field``.

    Raises:
        EmptyValueError: nothing but spaces was written.
        ValueError: with what is expected; what was written is repeated only where it cannot be secret.
    """
    value = given.value
    if isinstance(value, str):
        if not value.strip():
            raise EmptyValueError
        value = value if field.form == "secret" else value.strip()
        _check_text(value, field)
    if field.form == "plain":
        return _plain(field, value, typed=given.typed)
    if field.form in _LISTS:
        return tuple(_LISTS[field.form](part, field) for part in _parts(value, field))
    if not isinstance(value, str):
        raise ValueError(f"expected text: {expected(field)}")  # noqa: TRY004 - one class for every bad value
    return _READERS[field.form](value)


def _check_text(value: str, field: Field) -> None:
    if any(ord(char) < ord(" ") or ord(char) == 0x7F for char in value):  # noqa: PLR2004 - the code of DEL
        raise ValueError(f"holds a control character; expected {expected(field)}")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("is not UTF-8 text") from None


def _plain(field: Field, value: object, *, typed: bool) -> object:
    written = value
    base = get_args(field.target)[0]
    if base is bool and isinstance(value, str):
        value = _SWITCH.get(value.lower(), value)
    elif get_origin(base) is Literal and isinstance(value, str):
        value = value.lower()
    try:
        result: object = msgspec.convert(value, field.target, strict=typed or base is bool)
    except msgspec.ValidationError:
        result = None
    if result is None or (isinstance(result, float) and not math.isfinite(result)):
        raise ValueError(f"expected {expected(field)}{_got(written)}")
    return result


def _got(value: object) -> str:
    if isinstance(value, str | bool | int | float):
        return f', got "{shortened(str(value).lower() if isinstance(value, bool) else str(value))}"'
    return ""


def _text(value: str) -> str:
    return value


def _host(value: str) -> str:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        if not _HOST_NAME.fullmatch(value):
            raise ValueError(f"expected {_EXPECTED['host']}") from None
    return value


def _path(value: str) -> Path:
    try:
        return Path(value).expanduser()
    except RuntimeError:
        raise ValueError("starts with ~, but there is no home folder: write the whole path") from None


def _key(value: str) -> str:
    if not value.isascii() or " " in value:
        raise ValueError(f"expected {_EXPECTED['key']}")
    return value


def _url(form: Form, *schemes: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        try:
            address = parse_address(value, schemes)
        except ValueError as error:
            raise ValueError(f"{error}; expected {_EXPECTED[form]}") from None
        if form != "database" and (len(address.hosts) > 1 or address.local_socket):
            raise ValueError(f"expected one host: {_EXPECTED[form]}")
        if form in ("http", "collector"):
            # Paths are appended to it, which a query would swallow.
            if "?" in value or "#" in value:
                raise ValueError(f"holds a ? or #; expected {_EXPECTED[form]}")
            return value.rstrip("/")
        return value

    return read


def _parts(value: object, field: Field) -> list[object]:
    if isinstance(value, str):
        return [part for part in value.split(",") if part.strip()]
    if isinstance(value, list):
        return list(value)
    raise ValueError(f"expected {expected(field)}")


def _origin(value: object, field: Field) -> str:
    text = value.strip().rstrip("/").lower() if isinstance(value, str) else ""
    try:
        address = parse_address(text, ("http", "https"))
    except ValueError:
        address = None
    bare = "@" not in text and not {"/", "?", "#"}.intersection(text.partition("://")[2])
    if address is None or len(address.hosts) > 1 or not bare:
        raise ValueError(f"expected {expected(field)}")
    return text.removesuffix(":443" if text.startswith("https") else ":80")  # as browsers write it


def _host_pattern(value: object, field: Field) -> str:
    text = value.strip().lower() if isinstance(value, str) else ""
    if not _HOST_NAME.fullmatch(text.removeprefix("*.")):
        raise ValueError(f"expected {expected(field)}{_got(value)}")
    return text


def _network(value: object, field: Field) -> str:
    try:
        return str(ipaddress.ip_network(value.strip() if isinstance(value, str) else "", strict=False))
    except ValueError:
        raise ValueError(f"expected {expected(field)}{_got(value)}") from None


def _receiver(value: object, field: Field) -> str:
    text = value.strip().lower() if isinstance(value, str) else ""
    try:
        address = parse_address(f"http://{text}", ("http",))
    except ValueError:
        address = None
    if address is None or len(address.hosts) > 1 or {"/", "?", "#", "@"}.intersection(text):
        raise ValueError(f"expected {expected(field)}")
    return text


_LISTS: dict[Form, Callable[[object, Field], str]] = {
    "origins": _origin,
    "networks": _network,
    "hosts": _host_pattern,
    "receivers": _receiver,
}

_READERS: dict[Form, Callable[[str], object]] = {
    "text": _text,
    "host": _host,
    "folder": _path,
    "file": _path,
    "secret": _text,
    "key": _key,
    "database": _url("database", "postgresql", "postgres"),
    "broker": _url("broker", "amqp", "amqps"),
    "http": _url("http", "http", "https"),
    "collector": _url("collector", "http", "https"),
    "dsn": _url("dsn", "http", "https"),
}
