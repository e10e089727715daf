"""Errors as clients see them: RFC 9457 problem documents."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import Scope, Send
from msgspec import UNSET, Struct, UnsetType
from structlog.contextvars import get_contextvars

from hub.core.errors import HubError, InvalidPart, InvalidRequestError
from hub.core.ids import new_id
from hub.core.logging import get_logger

logger = get_logger(__name__)

PROBLEM_JSON = "application/problem+json"
#: Where each type of problem has its page.
PAGES = "/problems"


class Problem(Struct, frozen=True, kw_only=True):
    """RFC 9457. ``type`` is the kind of problem and its page; ``errors`` points at parts of a bad request."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[InvalidPart] | UnsetType = UNSET


_encoder = msgspec.json.Encoder()

#: What the framework says of a parameter that is not there.
_MISSING = re.compile(r"Missing required \w+ parameter '([^']{1,100})'")

#: How what the web itself refuses is called, by status.
TITLES = {
    400: ("invalid_request", "The request is not valid"),
    401: ("not_signed_in", "You are not signed in"),
    403: ("not_allowed", "You may not do this"),
    404: ("not_found", "There is nothing here"),
    405: ("method_not_allowed", "This cannot be done here"),
    413: ("too_large", "The request is too large"),
    415: ("unsupported_media_type", "This kind of content is not taken here"),
    416: ("range_not_satisfiable", "There is no such part"),
    429: ("too_many_requests", "Too many requests"),
    503: ("not_ready", "The server is not ready"),
}


def type_of(code: str) -> str:
    """Return the type of a problem, which is also the address of the page about it."""
    return f"{PAGES}/{code.replace('_', '-')}"


def code_of(problem_type: str) -> str:
    """Return the code of a problem's type."""
    return problem_type.rpartition("/")[2].replace("-", "_")


def problem(
    status: int,
    code: str,
    title: str,
    detail: str,
    *,
    request_id: str,
    errors: list[InvalidPart] | None = None,
) -> bytes:
    """Return a problem document."""
    return _encoder.encode(
        Problem(
            type=type_of(code),
            title=title,
            status=status,
            detail=detail,
            request_id=request_id,
            errors=errors or UNSET,
        )
    )


def render(
    status: int,
    code: str,
    title: str,
    detail: str,
    *,
    errors: list[InvalidPart] | None = None,
    headers: dict[str, str] | None = None,
) -> Response[bytes]:
    """Return a problem document as a response."""
    request_id = str(get_contextvars().get("request_id", ""))
    return Response(
        problem(status, code, title, detail, request_id=request_id, errors=errors),
        status_code=status,
        media_type=PROBLEM_JSON,
        headers=headers or {},
    )


async def refuse(scope: Scope, send: Send, *, status: int, code: str, title: str, detail: str) -> None:
    """Answer a request or a socket's handshake with a problem document, before the application is asked."""
    request_id = str(get_contextvars().get("request_id", "")) or new_id().hex
    body = problem(status, code, title, detail, request_id=request_id)
    headers = [
        (b"content-type", PROBLEM_JSON.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"x-request-id", request_id.encode()),
    ]
    kind = "websocket.http.response" if scope["type"] == ScopeType.WEBSOCKET else "http.response"
    start: Any = {"type": f"{kind}.start", "status": status, "headers": headers}
    end: Any = {"type": f"{kind}.body", "body": body, "more_body": False}
    await send(start)
    await send(end)


def handle_hub_error(_request: Request[Any, Any, Any], error: HubError) -> Response[bytes]:
    """Render a business fact."""
    errors = error.errors if isinstance(error, InvalidRequestError) else None
    headers = {"WWW-Authenticate": "Bearer"} if error.status == HTTPStatus.UNAUTHORIZED else {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    return render(error.status, error.code, error.title, str(error), errors=errors, headers=headers)


def handle_http_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """Render what the framework refuses: unknown routes, wrong methods, bad parameters."""
    status = error.status_code
    headers = {name: value for name, value in (error.headers or {}).items() if name.lower() == "allow"}
    if "websocket" in headers.values():
        return _not_over_http()
    code, title = TITLES.get(status, ("http_error", HTTPStatus(status).phrase))
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("request failed", exc_info=error)
    if isinstance(error, ValidationException):
        errors = _parameters(request, error)
        return render(status, code, title, "A part of the request is not valid.", errors=errors)
    return render(status, code, title, _detail(status, error.detail), headers=headers)


def handle_unavailable(_request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Render a database that is away or cannot keep up: it is worth trying again."""
    logger.warning("database unavailable for a request", reason=type(error).__name__)
    code, title = TITLES[HTTPStatus.SERVICE_UNAVAILABLE]
    detail = "The server cannot do this at the moment. Try again in a few seconds."
    return render(503, code, title, detail, headers={"Retry-After": "2"})


def handle_unexpected(_request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Render a defect of ours: the log has the details, the client its request id."""
    logger.error("request failed", exc_info=error)
    return render(
        500,
        "internal_error",
        "Something went wrong",
        "This is an error of the server. Tell its operator the request id.",
    )


def _not_over_http() -> Response[bytes]:
    return render(
        HTTPStatus.UPGRADE_REQUIRED,
        "upgrade_required",
        "This is a WebSocket",
        "Open this address with a WebSocket client.",
        headers={"Upgrade": "websocket", "Connection": "Upgrade"},
    )


def _parameters(request: Request[Any, Any, Any], error: ValidationException) -> list[InvalidPart]:
    if (missing := _MISSING.match(error.detail)) is not None:
        return [InvalidPart(f"/{missing[1]}", "This parameter is missing.")]
    extra = error.extra if isinstance(error.extra, list) else []
    return [_parameter(request, each) for each in extra if isinstance(each, dict)]


def _parameter(request: Request[Any, Any, Any], told: dict[str, Any]) -> InvalidPart:
    """Name a parameter as clients do; the framework tells the name that it has in the code."""
    key, message = str(told.get("key", "")), str(told.get("message", ""))
    if key == "data":
        return InvalidPart("", "There is no body. Send JSON.")
    parameter = request.route_handler.parsed_fn_signature.parameters.get(key)
    name = getattr(parameter.kwarg_definition, "name", None) if parameter is not None else None
    if "regex" in message:
        message = "Only visible ASCII characters may stand here"
    return InvalidPart(f"/{name or key.replace('.', '/')}", f"{message}.")


def _detail(status: int, detail: str) -> str:
    if status == HTTPStatus.NOT_FOUND:
        return "Check the address; /docs lists all there is."
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        return "This address takes other methods; the Allow header names them."
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return "Send less at once."
    return detail
