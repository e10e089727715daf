"""What one setting is to the rest of the package: its names, its type with bounds, and how it is read."""

from collections.abc import Mapping
from types import UnionType
from typing import Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

from hub.core.settings.addresses import Secret, SecretUrl

Form = Literal[
    "plain",
    "text",
    "host",
    "folder",
    "file",
    "secret",
    "key",
    "database",
    "broker",
    "http",
    "collector",
    "dsn",
    "origins",
    "networks",
    "hosts",
    "receivers",
]
"""How a value is read and whether it may be shown: "plain" is a number, a switch or a choice."""

#: The string types that hide what may be a secret.
_WRAPPERS: dict[Form, type[Secret]] = {
    "secret": Secret,
    "key": Secret,
    "database": SecretUrl,
    "broker": SecretUrl,
    "http": SecretUrl,
    "collector": SecretUrl,
    "dsn": SecretUrl,
}


def is_a(form: Form) -> dict[str, Form]:
    """Say of what form a setting is, for its ``Meta``."""
    return {"form": form}


class Field(Struct, frozen=True, kw_only=True):
    """What the rest of the package needs to know of one setting."""

    name: str
    variable: str
    """The name in the environment."""
    aliases: tuple[str, ...]
    """Other names in the environment that are accepted: the guide's of the original, and standards'."""
    target: object
    """The type to convert to, with its bounds, without ``None``."""
    meta: Meta
    form: Form
    default: object

    @property
    def wrapper(self) -> type[Secret] | None:
        """The string type that hides the value, if it may hold a secret."""
        return _WRAPPERS.get(self.form)

    @property
    def doc(self) -> str:
        """What the setting is for, in a line or two."""
        return self.meta.description or ""


def fields_of(settings: type[Struct], aliases: Mapping[str, tuple[str, ...]]) -> dict[str, Field]:
    """Return what there is to know of each setting of a class, by its name."""
    hints = get_type_hints(settings, include_extras=True)
    return {
        field.name: _field(field.name, hints[field.name], field.default, aliases.get(field.name, ()))
        for field in msgspec.structs.fields(settings)
    }


def _field(name: str, hint: object, default: object, aliases: tuple[str, ...]) -> Field:
    base, meta = get_args(hint)
    target = _without_none(base)
    return Field(
        name=name,
        variable=f"HUB_{name.upper()}",
        aliases=aliases,
        target=hint if target is base else target,
        meta=meta,
        form=(meta.extra or {}).get("form", "plain"),
        default=default,
    )


def _without_none(hint: object) -> object:
    if get_origin(hint) is not UnionType:
        return hint
    return next(part for part in get_args(hint) if part is not type(None))
