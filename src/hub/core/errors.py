"""The one root of everything that can go wrong in a way a user is told about."""

from __future__ import annotations

from typing import ClassVar


class HubError(Exception):
    """A business fact that stops a request.

    ``status`` is the HTTP status, ``code`` a stable machine word (snake case, also the problem type's
    last segment), ``title`` the short name of the fact. The exception's own text is the one sentence the
    user reads: what happened and what to do.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Something went wrong"


class FieldError(HubError):
    """A value that is well-formed JSON but not acceptable; ``pointer`` is its RFC 6901 JSON pointer."""

    status = 400
    code = "invalid_request"
    title = "The request is invalid"

    def __init__(self, pointer: str, detail: str) -> None:
        super().__init__(detail)
        self.pointer = pointer
        self.detail = detail
