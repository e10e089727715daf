"""What the framework leaves out of the OpenAPI document, or gets wrong: errors, public routes, patterns."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Litestar, Request
from litestar.openapi.plugins import JsonRenderPlugin, SwaggerRenderPlugin
from litestar.routes import HTTPRoute

from hub.storage.layout import SUFFIXES
from hub.web.problems import PROBLEM_JSON, Problem
from hub.web.uploads import CONVERSATION_TYPES, FIELD, MULTIPART, PICTURE

_Document = dict[str, Any]

_REFUSALS = {
    "400": "The request is malformed, or a value is out of its bounds; `errors` points at each.",
    "401": "Not signed in, or not any more.",
    "403": "The account is disabled or may not do this, or the token lacks the scope (`x-scopes`).",
    "404": "There is nothing of this id, or it is somebody else's.",
    "413": "The body is too large.",
    "415": "The body is not of a type that is taken here.",
    "default": "Any other refusal.",
}


_BYTES = {"type": "string", "format": "binary"}
_FORM = {"type": "object", "properties": {FIELD: _BYTES}, "required": [FIELD]}
#: What routes with these options take.
_UPLOADS = {"takes_picture": PICTURE.media_types, "takes_conversation": CONVERSATION_TYPES}


class JsonDocument(JsonRenderPlugin):
    """The document at ``/docs/openapi.json``."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: _Document) -> bytes:
        """Return the completed document."""
        return super().render(request, complete(openapi_schema, request.app))


class SwaggerPage(SwaggerRenderPlugin):
    """The page at ``/docs``."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: _Document) -> bytes:
        """Return the page with the completed document in it."""
        return super().render(request, complete(openapi_schema, request.app))


def complete(document: _Document, app: Litestar) -> _Document:
    """Put right the framework's document, in place and once, and return it."""
    components = document["components"]
    if "responses" in components:
        return document
    _, schemas = msgspec.json.schema_components([Problem], ref_template="#/components/schemas/{name}")
    components["schemas"] |= schemas
    components["responses"] = {
        f"Problem-{status}": {
            "description": description,
            "content": {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status, description in _REFUSALS.items()
    }
    public = _operations_with(app, "exclude_from_auth")
    scopes = _scopes(app)
    takes = {option: _operations_with(app, option) for option in _UPLOADS}
    gives = _operations_with(app, "gives_picture")
    may_be_silent = _operations_with(app, "body_is_optional")
    for path, item in document["paths"].items():
        for operation in item.values():
            is_public = operation["operationId"] in public
            if is_public:
                operation["security"] = []
            else:
                operation["x-scopes"] = scopes[operation["operationId"]]
            for option, operations in takes.items():
                if operation["operationId"] in operations:
                    operation["requestBody"] = _upload(_UPLOADS[option])
            if operation["operationId"] in gives:
                _document_picture(operation)
            if operation["operationId"] in may_be_silent:
                operation["requestBody"]["required"] = False
            _document_refusals(operation, path, is_public=is_public)
    _close_bodies(document)
    _translate_patterns(document)
    return document


def _upload(media_types: tuple[str, ...]) -> _Document:
    content = {media_type: {"schema": _BYTES} for media_type in media_types}
    return {"required": True, "content": {**content, MULTIPART: {"schema": _FORM}}}


def _operations_with(app: Litestar, option: str) -> set[str]:
    return {
        str(handler.operation_id)
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if handler.opt.get(option)
    }


def _scopes(app: Litestar) -> dict[str, list[str]]:
    """Return the scopes of which a personal access token needs one, by operation; ``*`` is any token."""
    return {
        str(handler.operation_id): list(handler.opt.get("scopes", ()))
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
    }


def _document_picture(operation: _Document) -> None:
    """Say what comes back: bytes, a part of them, or word that the client has them already."""
    content: _Document = {media_type: {"schema": _BYTES} for media_type in SUFFIXES}
    operation["responses"] |= {
        "200": {"description": "The picture.", "content": content},
        "206": {"description": "The part that `Range` asks for.", "content": content},
        "304": {"description": "The client has it already, by its `If-None-Match`."},
        "416": {"$ref": "#/components/responses/Problem-default"},
    }


def _document_refusals(operation: _Document, path: str, *, is_public: bool) -> None:
    statuses = {"default"}
    if not is_public:
        statuses |= {"401", "403"}
    if "{" in path:
        statuses.add("404")
    if "requestBody" in operation:
        statuses |= {"400", "413", "415"}
    elif operation.get("parameters"):
        statuses.add("400")
    responses = operation["responses"]
    responses.pop("400", None)  # the framework's own shape, which is never sent
    responses |= {status: {"$ref": f"#/components/responses/Problem-{status}"} for status in sorted(statuses)}


def _close_bodies(document: _Document) -> None:
    """Say that a body takes no fields but its own."""
    for item in document["paths"].values():
        for operation in item.values():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                name = content["schema"].get("$ref", "").rpartition("/")[2]
                if name:
                    document["components"]["schemas"][name]["additionalProperties"] = False


def _translate_patterns(part: object) -> None:
    r"""Write the end of a pattern as JavaScript knows it; ``\Z`` is Python's."""
    if isinstance(part, dict):
        pattern = part.get("pattern")
        if isinstance(pattern, str) and pattern.endswith("\\Z"):
            part["pattern"] = pattern[:-2] + "$"
        for each in part.values():
            _translate_patterns(each)
    elif isinstance(part, list):
        for each in part:
            _translate_patterns(each)
