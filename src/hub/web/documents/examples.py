"""Examples of what goes over the wire, made from the types and a table of plausible values."""

from __future__ import annotations

import enum
import re
import types
import typing
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import NODEFAULT, UNSET, Struct, UnsetType
from msgspec.structs import FieldInfo

from hub.web.documents.values import IDS, LEFT_OUT, MOMENT, OTHER_ID, VALUES

_UNIONS = (typing.Union, types.UnionType)


class Examples:
    """Makes examples; ``missing`` is what the tables of ``hub.web.documents.values`` lack for them."""

    def __init__(self) -> None:
        self.missing: set[str] = set()

    def of(self, kind: Any) -> Any:
        """Return a plausible value of a type, as JSON has it."""
        return self._example(kind, "")

    def look_up(self, table: Mapping[str, str], name: str, title: str) -> str:
        """Return what a table says, noting when it says nothing."""
        if name not in table:
            self.missing.add(f"{title}[{name!r}]")
        return table.get(name, "")

    def _example(self, kind: Any, place: str) -> Any:
        for key in (place, place.rpartition(".")[2]):
            if key in VALUES and _fits(kind, VALUES[key]):
                return self._filled(kind, VALUES[key])
        first = _alternatives(kind)[0]
        if is_struct(first):
            return self._struct(first)
        if typing.get_origin(first) in (list, tuple, set, frozenset):
            return [self._example(typing.get_args(first)[0], place)]
        return self._scalar(first, place)

    def _scalar(self, kind: Any, place: str) -> Any:
        if typing.get_origin(kind) is Literal:
            return typing.get_args(kind)[0]
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            return next(iter(kind)).value
        known = {UUID: _id(place), datetime: MOMENT, bool: True, types.NoneType: None}
        if kind not in known:
            self.missing.add(f"VALUES[{place!r}]")
        return known.get(kind)

    def _struct(self, kind: Any) -> dict[str, Any]:
        config = (typing.get_origin(kind) or kind).__struct_config__
        made: dict[str, Any] = {config.tag_field: config.tag} if config.tag_field is not None else {}
        for field in msgspec.structs.fields(kind):
            place = f"{name_of(kind)}.{field.encode_name}"
            if VALUES.get(place) is LEFT_OUT:
                continue
            if field.required or _is_worth_showing(field, place):
                made[field.encode_name] = self._example(field.type, place)
            elif field.default not in (NODEFAULT, UNSET, None):
                made[field.encode_name] = field.default
        return made

    def _filled(self, kind: Any, value: Any) -> Any:
        """Return a value of the table; what it has of a Struct goes over the Struct's own example."""
        struct = next((each for each in _alternatives(kind) if is_struct(each)), None)
        if not isinstance(value, dict) or struct is None:
            return value
        made = self._struct(struct)
        return made | {name: each for name, each in value.items() if name in made}


def _is_worth_showing(field: FieldInfo, place: str) -> bool:
    """Tell whether a field that may be left out has something to show."""
    named = any(key in VALUES and _fits(field.type, VALUES[key]) for key in (place, field.encode_name))
    return named or any(map(is_struct, _alternatives(field.type)))


def is_struct(kind: Any) -> bool:
    """Tell whether a type is a Struct, or a generic one with its parts."""
    plain = typing.get_origin(kind) or kind
    return isinstance(plain, type) and issubclass(plain, Struct)


def name_of(kind: Any) -> str:
    """Return the name of a Struct, without the parts of a generic one."""
    return str((typing.get_origin(kind) or kind).__name__)


def _alternatives(kind: Any) -> list[Any]:
    """Return what a value may be, null last."""
    if typing.get_origin(kind) is Annotated:
        kind = typing.get_args(kind)[0]
    if typing.get_origin(kind) not in _UNIONS:
        return [kind]
    parts = [part for each in typing.get_args(kind) for part in _alternatives(each) if part is not UnsetType]
    return sorted(parts, key=lambda part: part is types.NoneType)


def _fits(kind: Any, value: Any) -> bool:
    """Tell whether a value is of a type, since fields of one name are not all of one type."""
    if value is LEFT_OUT:
        return False
    if isinstance(value, dict) and any(map(is_struct, _alternatives(kind))):
        return True
    try:
        msgspec.json.decode(msgspec.json.encode(value), type=kind)
    except msgspec.ValidationError:
        return False
    return True


def _id(place: str) -> str:
    """Return the id that a place means: ``companion_id`` anywhere, ``id`` in a Companion."""
    owner, _, name = place.rpartition(".")
    words = owner if name == "id" else name.removesuffix("_id")
    snake = re.sub(r"(?<!^)(?=[A-Z])", "_", words).lower()
    return IDS.get(snake) or IDS.get(snake.rpartition("_")[2]) or OTHER_ID
