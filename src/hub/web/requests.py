"""Requests whose JSON bodies are read strictly, straight into the type that the route declares."""

from __future__ import annotations

import asyncio
from functools import cache
from itertools import islice
from typing import Any

import msgspec
from litestar import Request
from litestar.datastructures import State
from litestar.exceptions import InternalServerException

from hub.core.errors import HubError, InvalidPart, InvalidRequestError
from hub.core.validation import invalid_part
from hub.domain.accounts.schemas import Identity

#: Seconds in which a body of at most a megabyte has to come.
BODY_TIMEOUT = 60.0
#: Parts of a body that a refusal names; a megabyte has room for a hundred thousand wrong ones.
MOST_ERRORS = 100


class UnsupportedMediaTypeError(HubError):
    """The body is not JSON."""

    status = 415
    code = "unsupported_media_type"
    title = "This kind of content is not taken here"


class IncompleteRequestError(HubError):
    """The client left before its body was whole; nobody will read the answer, but the log does."""

    status = 400
    code = "request_incomplete"
    title = "The request broke off"


class HubRequest(Request[Identity, None, State]):
    """A request; ``json()`` gives a value of the handler's own type or raises the contract's error.

    Litestar would read JSON first and convert it loosely afterwards ("true" as a boolean, for one).
    """

    async def body(self) -> bytes:
        """Return the whole body."""
        try:
            async with asyncio.timeout(BODY_TIMEOUT):
                return await super().body()
        except (InternalServerException, TimeoutError):  # the framework's word for a client that has left
            raise IncompleteRequestError("Send the whole body.") from None

    async def json(self) -> Any:
        """Decode the body into the type of the handler's ``data``."""
        media_type = self.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
        if media_type != "application/json" and not media_type.endswith("+json"):
            raise UnsupportedMediaTypeError("Send JSON, with 'Content-Type: application/json'.")
        field = self.route_handler.parsed_data_field
        return decode(await self.body(), field.annotation if field is not None else Any)


@cache
def _decoder(target: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(target)


def decode(body: bytes, target: Any) -> Any:
    """Decode JSON into a type, strictly.

    Raises:
        InvalidRequestError: naming every field that is wrong.
    """
    try:
        return _decoder(target).decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequestError("The body is not as it should be.", _errors(body, target, error)) from None


def _errors(body: bytes, target: Any, first: Exception) -> list[InvalidPart]:
    try:
        given = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [InvalidPart("", "The body is not well-formed JSON in UTF-8.")]
    return every_error(given, target, first)


def every_error(given: Any, target: Any, first: Exception) -> list[InvalidPart]:
    """Return what is wrong with each field by itself, since decoding stops at the first that is wrong."""
    if not isinstance(given, dict) or not isinstance(target, type) or not issubclass(target, msgspec.Struct):
        return [invalid_part("", first)]
    errors: list[InvalidPart] = []
    fields = {field.encode_name: field for field in msgspec.structs.fields(target)}
    if target.__struct_config__.forbid_unknown_fields:
        unknown = (name for name in given if name not in fields)
        errors += [
            InvalidPart(f"/{_escape(name)}", "This field is not known.")
            for name in islice(unknown, MOST_ERRORS)
        ]
    for name, field in fields.items():
        if name in given:
            try:
                msgspec.convert(given[name], field.type)
            except msgspec.ValidationError as error:
                errors.append(invalid_part(f"/{name}", error))
        elif field.required:
            errors.append(InvalidPart(f"/{name}", "This field is missing."))
    return errors or [invalid_part("", first)]


def _escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
