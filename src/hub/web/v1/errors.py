"""Errors below ``/v1`` as OpenAI's clients know them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.datastructures import MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send
from msgspec import UNSET, Struct

from hub.core.errors import HubError, InvalidRequestError
from hub.domain.chat.schemas import ResponseError
from hub.web.problems import PROBLEM_JSON, Problem, code_of

PREFIX = "/v1/"


class ApiError(Struct, frozen=True, kw_only=True):
    """What went wrong: a sentence for people, and for programs a type, a code, and the parameter at fault."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorBody(Struct, frozen=True, kw_only=True):
    """The body of an answer that is an error."""

    error: ApiError


_encoder = msgspec.json.Encoder()
_problem_decoder = msgspec.json.Decoder(Problem)

# Codes by which clients of OpenAI tell errors apart; ours stay where there are none.
_CODES = {401: "invalid_api_key", 413: "request_too_large", 429: "rate_limit_exceeded"}
_PARAMS = {"model_not_found": "model", "previous_response_not_found": "previous_response_id"}
_PARAMS["previous_response_not_complete"] = "previous_response_id"

# What the language model's trouble is to a client: most of it is nobody's fault who asks.
_STATUS_OF_FAILURE = {
    "llm_content_filter": HTTPStatus.BAD_REQUEST,
    "llm_context_exceeded": HTTPStatus.BAD_REQUEST,
    "cancelled": HTTPStatus.CONFLICT,
    "not_signed_in": HTTPStatus.UNAUTHORIZED,
    "internal_error": HTTPStatus.INTERNAL_SERVER_ERROR,
}
_CODE_OF_FAILURE = {"llm_context_exceeded": "context_length_exceeded", "llm_content_filter": "content_filter"}


class CompletionFailedError(Exception):
    """A text was asked for and did not come; ``error`` says why."""

    def __init__(self, error: ResponseError) -> None:
        super().__init__(error.message)
        self.error = error


def status_of(failed: ResponseError) -> int:
    """Return the HTTP status of a failed completion."""
    return int(_STATUS_OF_FAILURE.get(failed.code, HTTPStatus.SERVICE_UNAVAILABLE))


def api_error(failed: ResponseError) -> ApiError:
    """Say in OpenAI's way why a completion failed."""
    code = _CODE_OF_FAILURE.get(failed.code, failed.code)
    return ApiError(message=failed.message, type=_type_of(status_of(failed)), code=code)


def api_error_of(error: HubError) -> ApiError:
    """Say in OpenAI's way why a call was refused."""
    pointer = error.errors[0].pointer if isinstance(error, InvalidRequestError) and error.errors else None
    detail = error.errors[0].detail if isinstance(error, InvalidRequestError) and error.errors else str(error)
    return _refusal(error.status, error.code, detail, pointer)


def _refusal(status: int, code: str, message: str, pointer: str | None) -> ApiError:
    param = pointer.strip("/").replace("/", ".") if pointer else None
    return ApiError(
        message=message,
        type=_type_of(status),
        param=param or _PARAMS.get(code),
        code=_CODES.get(status, code),
    )


def _type_of(status: int) -> str:
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return "rate_limit_error"
    if status == HTTPStatus.FORBIDDEN:
        return "permission_error"
    return "server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error"


def handle_failed(_request: Request[Any, Any, Any], failed: CompletionFailedError) -> Response[bytes]:
    """Render a completion that did not come; the hub has tried again already where that could help."""
    status = status_of(failed.error)
    return Response(
        _encoder.encode(ErrorBody(error=api_error(failed.error))),
        status_code=status,
        media_type="application/json",
        headers={"X-Should-Retry": "false"},  # OpenAI's own clients heed it
    )


class OpenAIErrors:
    """ASGI middleware: turns every problem document below ``/v1`` into an error of OpenAI's shape.

    It stands around all the rest, so that whoever refuses a request need not know whose it is.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if not str(scope.get("path", "")).startswith(PREFIX):  # the lifespan has none
            await self._app(scope, receive, send)
            return
        kind = "http.response" if scope["type"] == ScopeType.HTTP else "websocket.http.response"
        begun: Any = None
        body = b""

        async def answer(message: Any) -> None:
            nonlocal begun, body
            if message["type"] == f"{kind}.start" and _is_problem(message):
                begun = message
            elif message["type"] == f"{kind}.body" and begun is not None:
                body += message["body"]
                if not message.get("more_body", False):
                    await _send_error(begun, body, send)
            else:
                await send(message)

        await self._app(scope, receive, answer)


def _is_problem(message: Any) -> bool:
    content_type: bytes = dict(message["headers"]).get(b"content-type", b"")
    return content_type.startswith(PROBLEM_JSON.encode())


async def _send_error(begun: Any, body: bytes, send: Send) -> None:
    body = translated(body) if body else b""  # HEAD has none
    headers = MutableScopeHeaders.from_message(begun)
    headers["Content-Type"] = "application/json"
    if body:
        headers["Content-Length"] = str(len(body))
    await send(begun)
    end: Any = {"type": begun["type"].replace(".start", ".body"), "body": body, "more_body": False}
    await send(end)


def translated(body: bytes) -> bytes:
    """Return a problem document as an error of OpenAI's shape."""
    problem = _problem_decoder.decode(body)
    code = code_of(problem.type)
    first = problem.errors[0] if problem.errors is not UNSET and problem.errors else None
    message = first.detail if first else problem.detail
    return _encoder.encode(
        ErrorBody(error=_refusal(problem.status, code, message, first.pointer if first else None))
    )
