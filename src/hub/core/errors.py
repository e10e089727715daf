"""The root of everything that can go wrong in a way a user is told about."""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct


class HubError(Exception):
    """A business fact that stops a request.

    ``status`` is the HTTP status, ``code`` a stable machine word in snake case (also the end of the
    problem's type), ``title`` the short name of the fact. The exception's own text is the sentence that the
    user reads: what happened and what to do.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Something went wrong"
    #: Seconds after which it is worth trying again, where that is known.
    retry_after: int | None = None


class InvalidPart(Struct, frozen=True):
    """What is wrong with one part of a request; ``pointer`` is its RFC 6901 JSON pointer."""

    pointer: str
    detail: str


class InvalidRequestError(HubError):
    """A request whose form or values are not acceptable; ``errors`` has every part that was found wrong."""

    status = 400
    code = "invalid_request"
    title = "The request is not valid"

    def __init__(self, detail: str, errors: list[InvalidPart]) -> None:
        super().__init__(detail)
        self.errors = errors


class FieldError(InvalidRequestError):
    """One value that is not acceptable."""

    def __init__(self, pointer: str, detail: str) -> None:
        super().__init__(detail, [InvalidPart(pointer, detail)])


class StartError(Exception):
    """The hub cannot start, or a command cannot run; the text is one line on what is wrong and what to do."""
