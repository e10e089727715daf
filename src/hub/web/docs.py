"""The documentation at ``/docs``: pages and documents that need nothing from elsewhere."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import swagger_ui_bundle
from litestar import Request, Response, Router, get
from litestar.exceptions import InternalServerException, NotFoundException
from litestar.static_files import create_static_files_router

from hub.web.documents import ASYNCAPI, OPENAPI, kept
from hub.web.documents.page import STYLE, page
from hub.web.problems import handle_http_error

_ASSETS = "/docs-assets"
_OPT = {"exclude_from_auth": True}
_HEADERS = {
    # Swagger UI writes styles into its elements, and has its pictures inside.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

_PAGE = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Companion Hub: HTTP API</title>
<link rel="icon" type="image/png" href="{_ASSETS}/favicon-32x32.png">
<link rel="stylesheet" href="{_ASSETS}/swagger-ui.css"><link rel="stylesheet" href="/docs/page.css">
</head><body><main><nav><a href="/docs/asyncapi">WebSockets</a> ·
<a href="/problems">types of problems</a> ·
<a href="/docs/openapi.json">this document as JSON</a></nav></main><div id="swagger-ui"></div>
<script src="{_ASSETS}/swagger-ui-bundle.js"></script>
<script src="{_ASSETS}/swagger-ui-standalone-preset.js"></script>
<script src="/docs/page.js"></script></body></html>"""

_SCRIPT = """SwaggerUIBundle({url: "/docs/openapi.json", dom_id: "#swagger-ui", deepLinking: true,
    presets: [SwaggerUIBundle.presets.apis, SwaggerUIBundle.SwaggerUIStandalonePreset]});
"""


@cache
def _encoded(file: Path) -> bytes:
    return msgspec.json.encode(kept(file))


def _answer(content: str | bytes, media_type: str) -> Response[str | bytes]:
    return Response(content, media_type=media_type, headers=_HEADERS)


@get("/")
async def openapi_page() -> Response[str | bytes]:
    """Show the HTTP API."""
    return _answer(_PAGE, "text/html")


@get("/openapi.json")
async def openapi_document() -> Response[str | bytes]:
    """Return the OpenAPI document."""
    return _answer(_encoded(OPENAPI), "application/json")


@get("/asyncapi")
async def asyncapi_page() -> Response[str | bytes]:
    """Show the WebSockets."""
    return _answer(page(kept(ASYNCAPI), style="/docs/page.css"), "text/html")


@get("/asyncapi.json")
async def asyncapi_document() -> Response[str | bytes]:
    """Return the AsyncAPI document."""
    return _answer(_encoded(ASYNCAPI), "application/json")


@get("/page.css")
async def style() -> Response[str | bytes]:
    """Return how the pages look."""
    return _answer(STYLE, "text/css")


@get("/page.js")
async def script() -> Response[str | bytes]:
    """Return what starts the page of the HTTP API."""
    return _answer(_SCRIPT, "text/javascript")


docs_router = Router(
    "/docs",
    route_handlers=[openapi_page, openapi_document, asyncapi_page, asyncapi_document, style, script],
    include_in_schema=False,
    opt=_OPT,
)


def _no_such_file(request: Request[Any, Any, Any], _error: Exception) -> Response[bytes]:
    return handle_http_error(request, NotFoundException())


assets_router = create_static_files_router(
    path=_ASSETS,
    directories=[Path(str(swagger_ui_bundle.swagger_ui_path))],
    include_in_schema=False,
    opt=_OPT,
    # Names that no file can have: with a NUL in them, or too long.
    exception_handlers=dict.fromkeys((ValueError, InternalServerException), _no_such_file),
)
