"""The documents of the public contract, for tests that go through them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from hub.web.app import ROUTE_HANDLERS
from hub.web.documents import ASYNCAPI, OPENAPI, kept
from hub.web.documents.openapi import application
from hub.web.documents.operations import Operation, Routes

Document = dict[str, Any]
METHODS = {"get", "put", "post", "patch", "delete", "head", "options", "trace"}


@cache
def openapi() -> Document:
    """Return the OpenAPI document as it is kept."""
    return kept(OPENAPI)


@cache
def asyncapi() -> Document:
    """Return the AsyncAPI document as it is kept."""
    return kept(ASYNCAPI)


@cache
def routes() -> dict[str, Operation]:
    """Return what the code says of each operation, by its id."""
    return {each.id: each for each in Routes(application(ROUTE_HANDLERS)).operations}


def operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    """Yield path, method and operation."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            assert method in METHODS
            yield path, method, operation


def resolve(document: Document, part: Document) -> Document:
    """Follow references."""
    while "$ref" in part:
        place: Any = document
        for step in part["$ref"].removeprefix("#/").split("/"):
            place = place[step]
        part = place
    return part


def bundled(document: Document, part: Document) -> Document:
    """Return a schema that stands by itself, for a validator."""
    return {**part, "components": document["components"]}
