"""The OpenAPI document: what the framework knows of the routes, put right and completed."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from litestar import Litestar
from litestar.di import Provide
from litestar.openapi.config import OpenAPIConfig

import hub
from hub.core.errors import StartError
from hub.web.cookies import COOKIE_NAME
from hub.web.documents.answers import Part, Refusals, headers, refer
from hub.web.documents.contents import EVENTS, Contents
from hub.web.documents.examples import Examples
from hub.web.documents.operations import Operation, Routes, schemas_of
from hub.web.documents.values import IDS, PARAMETERS, TAGS
from hub.web.documents.webhooks import PAYLOADS, webhooks
from hub.web.documents.wording import put_right
from hub.web.problems import Problem
from hub.web.requests import HubRequest
from hub.web.v1.errors import ErrorBody

JSON = "application/json"

_ABOUT = """Create companions, talk with them and watch the reply stream in.

Errors are RFC 9457 problem documents. Lists are `{"items", "next_cursor"}` with `?limit=` and `?cursor=`. The
WebSocket at `/api/ws` is described in the [AsyncAPI document](/docs/asyncapi)."""

#: What handlers depend on.
_PARTS = ("process", "connections", "clients", "traffic", "exposition")
_UNCHANGED = "The client has it already, by its `If-None-Match`."

_SECURITY: Part = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "An access token, of a sign-in or a personal one.",
    },
    "key": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "The same token."},
    "cookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE_NAME,
        "description": "What a browser gets that signs in with `cookie`; over https its name begins with "
        "`__Host-`. What changes something has to come from this server's own pages, or allowed origins.",
    },
}


def application(handlers: list[Any]) -> Litestar:
    """Return an application of these route handlers which is read, never run."""
    return Litestar(
        route_handlers=handlers,
        openapi_config=OpenAPIConfig(title="Companion Hub", version=hub.__version__, render_plugins=()),
        request_class=HubRequest,
        logging_config=None,
        dependencies={name: Provide(lambda: None, sync_to_thread=False) for name in _PARTS},
    )


def openapi(handlers: list[Any]) -> Part:
    """Return the document of these route handlers."""
    return _Document(application(handlers)).made()


class _Document:
    def __init__(self, app: Litestar) -> None:
        routes = Routes(app)
        self._operations = {each.id: each for each in routes.operations}
        self._examples = Examples()
        self._contents = Contents(self._examples)
        self._refusals = Refusals(self._examples, routes.details)
        types = [kind for each in self._operations.values() for kind in (each.takes, each.gives) if kind]
        self._references, self._schemas = schemas_of([*types, *PAYLOADS.values(), Problem, ErrorBody])
        self._framework = app.openapi_schema.to_schema()

    def made(self) -> Part:
        paths: Part = {}
        for path, method, told in _each(self._framework["paths"]):
            paths.setdefault(path, {})[method] = self._operation(told)
        document: Part = {
            "openapi": "3.1.0",
            "info": {
                "title": "Companion Hub",
                "version": hub.__version__,
                "description": _ABOUT,
                "license": {"name": "MIT", "identifier": "MIT"},
            },
            "servers": [{"url": "/", "description": "This hub."}],
            "tags": [
                {"name": name, "description": self._examples.look_up(TAGS, name, "TAGS")}
                for name in self._tags(paths)
            ],
            "security": [{name: []} for name in _SECURITY],
            "paths": dict(sorted(paths.items())),
            "webhooks": webhooks(self._references, self._examples),
            "components": {
                "schemas": dict(sorted(self._schemas.items())),
                "headers": headers(),
                "examples": dict(sorted(self._refusals.examples.items())),
                "responses": dict(sorted(self._refusals.responses.items())),
                "securitySchemes": _SECURITY,
            },
        }
        put_right(document)
        if self._examples.missing:
            raise StartError(f"hub.web.documents.values lacks {', '.join(sorted(self._examples.missing))}")
        return document

    def _tags(self, paths: Part) -> list[str]:
        return list(dict.fromkeys(tag for _, _, told in _each(paths) for tag in told["tags"]))

    def _operation(self, told: Part) -> Part:
        operation = self._operations[told["operationId"]]
        made: Part = {
            "operationId": operation.id,
            "summary": told["summary"],
            "description": _described(operation),
            "tags": told["tags"],
        }
        if operation.is_public:
            made["security"] = []
        else:
            made["x-required-scopes"] = list(operation.scopes)
        if told.get("parameters"):
            made["parameters"] = [self._parameter(each) for each in told["parameters"]]
        if body := self._body(operation):
            made["requestBody"] = body
        made["responses"] = self._answers(operation, told["responses"], takes_body=bool(body))
        return made

    def _body(self, operation: Operation) -> Part | None:
        if upload := self._contents.upload(operation.opt):
            return {"required": True, "content": upload}
        if operation.takes is None:
            return None
        content = {"schema": self._references[operation.takes], "example": self._examples.of(operation.takes)}
        return {"required": not operation.opt.get("body_is_optional"), "content": {JSON: content}}

    def _answers(self, operation: Operation, told: Part, *, takes_body: bool) -> Part:
        answers = self._refusals.of(operation, takes_body=takes_body)
        names = operation.headers
        for status, answer in told.items():
            if status[0] == "2":
                answers[status] = self._success(operation, status, answer) | {"headers": refer(names)}
            elif status != "400":  # of which the framework has a shape that is never sent
                answers[status] = self._own(answer) | {"headers": refer(())}
        if operation.gives is not None and operation.is_read:
            told_before = refer({"ETag", "Cache-Control"})
            answers["304"] = {"description": _UNCHANGED, "headers": told_before}
        if operation.opt.get("gives_picture"):
            self._give_picture(answers, names)
        return dict(sorted(answers.items()))

    def _success(self, operation: Operation, status: str, answer: Part) -> Part:
        if status == "204":
            return {"description": "It is done."}
        if operation.gives is not None:
            content = {
                "schema": self._references[operation.gives],
                "example": self._examples.of(operation.gives),
            }
            contents = {JSON: content}
            if operation.found.streams:
                contents[EVENTS] = self._contents.stream(operation.path)
            return {"description": _first_line(operation.gives), "content": contents}
        media_type = next(iter(answer.get("content", {EVENTS: {}})))
        about = "The events." if media_type == EVENTS else "The content."
        return {"description": about, "content": {media_type: self._contents.answer(media_type)}}

    def _own(self, answer: Part) -> Part:
        """Return an answer that a route declares itself."""
        for content in answer.get("content", {}).values():
            name = content["schema"].get("$ref", "").rpartition("/")[2]
            kind = next((kind for kind in self._references if getattr(kind, "__name__", "") == name), None)
            if kind is not None:
                content["example"] = self._examples.of(kind)
        return answer

    def _give_picture(self, answers: Part, names: set[str]) -> None:
        """Say what comes back: bytes, a part of them, or word that the client has them already."""
        content = self._contents.pictures()
        whole = refer(names - {"Content-Range"})
        answers["200"] = {"description": "The picture.", "content": content, "headers": whole}
        answers["206"] = {
            "description": "The part that `Range` asks for.",
            "content": content,
            "headers": refer(names),
        }
        answers["304"] = {
            "description": _UNCHANGED,
            "headers": whole,
        }
        answers["416"] = self._refusals.beyond()

    def _parameter(self, told: Part) -> Part:
        """Return a parameter without the framework's noise; one that may be left out is not null."""
        name = told["name"]
        schema = {key: value for key, value in told["schema"].items() if key != "description"}
        if "oneOf" in schema:
            first = next(each for each in schema.pop("oneOf") if each.get("type") != "null")
            schema = first | schema
        for bound in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
            if isinstance(schema.get(bound), float):
                schema[bound] = int(schema[bound])
        description = told.get("description") or self._about(name)
        made = {"name": name, "in": told["in"], "description": description, "schema": schema}
        if told["required"]:
            made["required"] = True
        if name.removesuffix("_id") in IDS:
            made["example"] = IDS[name.removesuffix("_id")]
        return made

    def _about(self, name: str) -> str:
        if name.endswith("_id") and name not in PARAMETERS:
            return f"The {name.removesuffix('_id').replace('_', ' ')}'s id."
        return self._examples.look_up(PARAMETERS, name, "PARAMETERS")


def _each(paths: Part) -> Iterator[tuple[str, str, Part]]:
    for path, item in paths.items():
        for method, operation in item.items():
            yield path, method, operation


def _described(operation: Operation) -> str:
    about = operation.about.replace("``", "`")
    if operation.is_public:
        return f"{about}\n\nNeeds no token."
    if operation.scopes == ("*",):
        return f"{about}\n\nAny token may do this."
    if not operation.scopes:
        return f"{about}\n\nOnly for a sign-in; no personal access token may do this."
    scopes = " or ".join(f"`{scope}`" for scope in operation.scopes)
    whom = " of an administrator" if operation.scopes == ("admin",) else ""
    return f"{about}\n\nA personal access token{whom} needs the scope {scopes}."


def _first_line(kind: Any) -> str:
    plain = getattr(kind, "__origin__", kind)
    return (inspect.getdoc(plain) or "").partition("\n\n")[0].replace("``", "`").replace("\n", " ")
