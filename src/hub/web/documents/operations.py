"""The operations of the HTTP API, as their route handlers tell of them."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from litestar import Litestar, Response
from litestar.handlers import HTTPRouteHandler
from litestar.params import ParameterKwarg
from litestar.routes import HTTPRoute
from litestar.typing import FieldDefinition
from msgspec import Struct

from hub.core.pages import Page
from hub.domain.accounts.errors import InsufficientScopeError, NotAllowedError
from hub.domain.limits.errors import TooManyRequestsError
from hub.storage.codec.errors import TooManyPixelsError, UnreadableImageError, UnsupportedImageError
from hub.web.answers import EDITABLE
from hub.web.auth import EVERY_TOKEN, Authentication
from hub.web.documents.refusals import Found, Reader

_REFERENCE = "#/components/schemas/"


class Operation(Struct, frozen=True, kw_only=True):
    """One route. ``takes`` and ``gives`` are the types of its JSON, None where there is none."""

    id: str
    path: str
    method: str
    about: str
    opt: dict[str, Any]
    takes: Any
    gives: Any
    found: Found
    has_parameters: bool

    @property
    def is_public(self) -> bool:
        """Whether it needs no token."""
        return bool(self.opt.get("exclude_from_auth"))

    @property
    def is_read(self) -> bool:
        """Whether it changes nothing."""
        return self.method == "GET"

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes of which a personal access token needs one; none: it is for sign-ins only."""
        return tuple(self.opt.get("scopes", ()))

    @property
    def headers(self) -> set[str]:
        """The headers of its answer, beside those of all answers."""
        names = set(self.found.headers)
        if TooManyRequestsError in self.found.errors:
            names |= {"RateLimit", "RateLimit-Policy"}
        if typing.get_origin(self.gives) is Page:
            names.add("Link")
        if self.gives is not None and (self.is_read or self.gives in EDITABLE):
            names |= {"ETag", "Cache-Control"} if self.is_read else {"ETag"}
        return names


class Routes:
    """The documented operations of an application; ``details`` are the sentences of their errors."""

    def __init__(self, app: Litestar) -> None:
        self._reader = Reader()
        self.operations = [
            self._operation(handler, route.path_format)
            for route in app.routes
            if isinstance(route, HTTPRoute)
            for handler in route.route_handlers
            if handler.include_in_schema is not False and handler.operation_id
        ]
        self.details = self._reader.details

    def _operation(self, handler: HTTPRouteHandler, path: str) -> Operation:
        body = handler.parsed_data_field
        return Operation(
            id=str(handler.operation_id),
            path=path,
            method=min(handler.http_methods),
            about=inspect.getdoc(handler.fn) or "",
            opt=dict(handler.opt),
            takes=body.annotation if body is not None else None,
            gives=_json_of(handler.parsed_return_field.annotation),
            found=self._found(handler),
            has_parameters=any(
                _is_sent(parameter) and f"{{{name}}}" not in path
                for name, parameter in handler.parsed_fn_signature.parameters.items()
            ),
        )

    def _found(self, handler: HTTPRouteHandler) -> Found:
        found = Found()
        if not handler.opt.get("refuses_nothing"):
            found.add(self._reader.read(handler.fn))
        if handler.opt.get("takes_picture"):  # said by another process, which no reading follows
            found.errors |= {TooManyPixelsError, UnreadableImageError, UnsupportedImageError}
        if not handler.opt.get("exclude_from_auth"):
            found.add(self._reader.read(_method(Authentication, "authenticate_request")))
            scopes = handler.opt.get("scopes", ())
            if scopes != ("admin",):
                found.errors.discard(NotAllowedError)
            if scopes == EVERY_TOKEN:
                found.errors.discard(InsufficientScopeError)
        return found


def _is_sent(parameter: FieldDefinition) -> bool:
    """Tell whether it is in the request, unlike what a handler depends on."""
    return isinstance(parameter.kwarg_definition, ParameterKwarg)


def _method(owner: type, name: str) -> Callable[..., Any]:
    """Return a method as one of the class, so that what ``self`` is can be told."""
    return typing.cast("Callable[..., Any]", getattr(owner, name).__get__(owner))


def _json_of(annotation: Any) -> Any:
    """Return the type of the JSON that a handler answers with, None when it is something else."""
    if typing.get_origin(annotation) is Response:
        annotation = typing.get_args(annotation)[0]
    plain = typing.get_origin(annotation) or annotation
    return annotation if isinstance(plain, type) and issubclass(plain, Struct) else None


def schemas_of(types: Iterable[Any]) -> tuple[dict[Any, dict[str, Any]], dict[str, Any]]:
    """Return a reference for each type, and the schemas that they lead to."""
    distinct = list(dict.fromkeys(types))
    references, components = msgspec.json.schema_components(distinct, ref_template=_REFERENCE + "{name}")
    names = _short_names(components)
    schemas = {names[name]: _renamed(schema, names) for name, schema in components.items()}
    return {kind: _renamed(each, names) for kind, each in zip(distinct, references, strict=True)}, schemas


def _short_names(components: Iterable[str]) -> dict[str, str]:
    """Return names without modules; where two Structs have one name, that of OpenAI's clients says so."""
    names: dict[str, str] = {}
    for name in components:
        short = name.rpartition(".")[2]
        if name.startswith("hub.web.v1."):
            short = f"OpenAI{short}"
        while short in names.values():
            short += "_"
        names[name] = short
    return names


def _renamed(schema: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """Return a schema whose references lead to the new names."""

    def walk(part: Any) -> Any:
        if isinstance(part, list):
            return [walk(each) for each in part]
        if not isinstance(part, dict):
            return part
        made = {name: walk(each) for name, each in part.items()}
        if isinstance(made.get("$ref"), str):
            made["$ref"] = _REFERENCE + names[made["$ref"].removeprefix(_REFERENCE)]
        return made

    return typing.cast("dict[str, Any]", walk(schema))
