"""Answers in JSON with what belongs to each: entity tag, 304, link to the next page, who may keep it."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import msgspec
from litestar import Litestar, Request, Response
from litestar.response.base import ASGIResponse
from msgspec import Struct

from hub.core.etags import tag_of_body
from hub.core.pages import Page
from hub.domain.accounts.schemas import User
from hub.domain.chat.schemas import Conversation, Message
from hub.domain.companions.schemas import Companion
from hub.domain.webhooks.schemas import Webhook
from hub.web.etags import has_already

#: What can be edited: the answer to an edit has the tag for the next one.
EDITABLE = (Companion, Conversation, Message, User, Webhook)
#: A client may keep what it read, and has to ask each time whether it still holds.
_ASK_AGAIN = "private, no-cache"

_encoder = msgspec.json.Encoder()


class Answer(Response[Any]):
    """A response whose content is a Struct."""

    def to_asgi_response(
        self, app: Litestar | None, request: Request[Any, Any, Any], **options: Any
    ) -> ASGIResponse:
        """Return what is sent, once the request is known that it answers."""
        content = self.content
        self.content = body = _encoder.encode(content)  # the framework's own way walks long lists twice
        if isinstance(content, Page) and content.next_cursor is not None:
            self.headers["Link"] = _next(request, content.next_cursor)
        given = self.headers.get("ETag")
        status = self.status_code or options.get("status_code")
        is_read = request.method == "GET" and status == 200  # noqa: PLR2004 - OK
        if is_read or isinstance(content, EDITABLE):
            self.headers["ETag"] = tag = given or tag_of_body(body)
            if is_read:
                self.headers.setdefault("Cache-Control", _ASK_AGAIN)
                if has_already(request.headers.get("if-none-match", ""), tag):
                    self.status_code, self.content = 304, b""
        return super().to_asgi_response(app, request, **options)


async def complete(response: Response[Any]) -> Response[Any]:
    """Make an :class:`Answer` of a handler's response if it holds a Struct; for ``after_request``."""
    if type(response) is not Response or not isinstance(response.content, Struct):
        return response
    answer = Answer(
        response.content,
        background=response.background,
        headers=response.headers,
        media_type=response.media_type,
        status_code=response.status_code,
    )
    answer.cookies = response.cookies
    return answer


def _next(request: Request[Any, Any, Any], cursor: str) -> str:
    """Return the link to the next page, relative to this server, whatever name and scheme it goes by."""
    # Latin-1 both ways gives back the very bytes that came.
    given = parse_qsl(
        request.scope["query_string"].decode("latin-1"), keep_blank_values=True, encoding="latin-1"
    )
    query = [(name, value) for name, value in given if name != "cursor"]
    query.append(("cursor", cursor))
    path = quote(request.scope["path"])
    return f'<{path}?{urlencode(query, encoding="latin-1")}>; rel="next"'
