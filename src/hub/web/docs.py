"""The API's documentation at ``/docs``, from the code, with nothing loaded from elsewhere."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path

import swagger_ui_bundle
from litestar import Response, Router
from litestar.exceptions import NotFoundException
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme
from litestar.static_files import create_static_files_router

import hub
from hub.web.openapi import JsonDocument, SwaggerPage

ASSETS_PATH = "/docs-assets"

assets_router = create_static_files_router(
    path=ASSETS_PATH,
    directories=[Path(str(swagger_ui_bundle.swagger_ui_path))],
    include_in_schema=False,
    opt={"exclude_from_auth": True},
)


async def _refuse_unknown(response: Response[bytes]) -> Response[bytes]:
    """Refuse unknown pages below ``/docs`` like all others; the framework has a page of its own for them."""
    if response.status_code == HTTPStatus.NOT_FOUND:
        raise NotFoundException
    return response


openapi_config = OpenAPIConfig(
    title="Companion Hub",
    version=hub.__version__,
    description="Create companions, talk with them and watch the reply stream in. "
    "Errors are RFC 9457 problem documents. The WebSocket at `/api/ws` is described in docs/websocket.md.",
    openapi_router=Router("/docs", route_handlers=[], include_in_schema=False, after_request=_refuse_unknown),
    render_plugins=[
        SwaggerPage(
            js_url=f"{ASSETS_PATH}/swagger-ui-bundle.js",
            css_url=f"{ASSETS_PATH}/swagger-ui.css",
            standalone_preset_js_url=f"{ASSETS_PATH}/swagger-ui-standalone-preset.js",
            favicon=f"<link rel='icon' type='image/png' href='{ASSETS_PATH}/favicon-32x32.png'>",
        ),
        JsonDocument(),
    ],
    components=Components(
        security_schemes={
            "token": SecurityScheme(type="http", scheme="bearer", description="An access token.")
        }
    ),
    security=[{"token": []}],
)
