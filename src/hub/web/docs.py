"""The API's documentation at ``/docs``, from the code, with nothing loaded from elsewhere."""

from __future__ import annotations

from pathlib import Path

import swagger_ui_bundle
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import SwaggerRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.static_files import create_static_files_router

import hub

ASSETS_PATH = "/docs-assets"

assets_router = create_static_files_router(
    path=ASSETS_PATH,
    directories=[Path(str(swagger_ui_bundle.swagger_ui_path))],
    include_in_schema=False,
    opt={"exclude_from_auth": True},
)

openapi_config = OpenAPIConfig(
    title="Companion Hub",
    version=hub.__version__,
    description="Create companions, talk with them and watch the reply stream in. "
    "Errors are RFC 9457 problem documents. The WebSocket at `/api/ws` is described in docs/websocket.md.",
    path="/docs",
    render_plugins=[
        SwaggerRenderPlugin(
            js_url=f"{ASSETS_PATH}/swagger-ui-bundle.js",
            css_url=f"{ASSETS_PATH}/swagger-ui.css",
            standalone_preset_js_url=f"{ASSETS_PATH}/swagger-ui-standalone-preset.js",
            favicon=f"<link rel='icon' type='image/png' href='{ASSETS_PATH}/favicon-32x32.png'>",
        )
    ],
    components=Components(
        security_schemes={
            "token": SecurityScheme(type="http", scheme="bearer", description="An access token.")
        }
    ),
    security=[{"token": []}],
)
