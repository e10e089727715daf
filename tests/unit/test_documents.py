"""The documents say everything that the code knows, and nothing that it does not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import msgspec
import pytest
from openapi_spec_validator import validate

from hub.web.documents.__main__ import documents
from hub.web.documents.answers import HEADERS
from hub.web.documents.frames import sockets
from hub.web.documents.webhooks import PAYLOADS
from tests.services.documents import Document, asyncapi, bundled, openapi, operations, resolve, routes

EACH = pytest.mark.parametrize(
    "operation", [pytest.param(each, id=each["operationId"]) for _, _, each in operations(openapi())]
)
FRAMES = [
    pytest.param(each.key(frame), frame, id=each.key(frame))
    for each in sockets()
    for frame in (*each.takes, *each.tells)
]

JSON = "application/json"
# Contents that are not JSON.
BYTES = re.compile(r"image/|multipart/|application/octet-stream")


def contents(operation: Document) -> Iterator[tuple[str, str, Document]]:
    """Yield status ("body" for the request's), media type and content of an operation."""
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        yield "body", media_type, content
    for status, answer in operation["responses"].items():
        for media_type, content in resolve(openapi(), answer).get("content", {}).items():
            yield status, media_type, content


def check(schema: Document, value: object, document: Document) -> None:
    jsonschema.Draft202012Validator(bundled(document, schema)).validate(value)


def test_the_kept_documents_are_those_of_the_code() -> None:
    for file, text in documents().items():
        assert file.read_text(encoding="utf-8") == text, f"run: make documents ({file.name})"


def test_the_openapi_document_keeps_to_its_specification() -> None:
    validate(openapi())
    assert openapi()["openapi"].startswith("3.1.")


def test_every_operation_is_there_once_under_a_name_of_its_own() -> None:
    names = [operation["operationId"] for _, _, operation in operations(openapi())]
    assert len(names) == len(set(names))
    assert set(names) == set(routes())


@EACH
def test_an_operation_says_all_that_there_is_to_say(operation: Document) -> None:
    path = routes()[operation["operationId"]].path
    assert re.fullmatch(r"[a-z][A-Za-z0-9]+", operation["operationId"])
    assert operation["summary"]
    assert len(operation["description"].split("\n\n")) > 1
    assert {tag["name"] for tag in openapi()["tags"] if tag["description"]} >= set(operation["tags"]) != set()
    for parameter in operation.get("parameters", []):
        assert len(parameter["description"]) > 5, parameter
        assert parameter["schema"]["type"] != "null"
        assert (parameter["in"] == "path") == (f"{{{parameter['name']}}}" in path)
    for status, answer in operation["responses"].items():
        told = resolve(openapi(), answer)
        assert told["description"], status
        assert "X-Request-ID" in told["headers"], status
        assert set(told["headers"]) <= set(HEADERS), status


@EACH
def test_every_content_has_an_example_that_fits_its_schema(operation: Document) -> None:
    for status, media_type, content in contents(operation):
        if BYTES.match(media_type):
            continue
        examples = [resolve(openapi(), each)["value"] for each in content.get("examples", {}).values()]
        examples += [content["example"]] if "example" in content else []
        assert examples, (status, media_type)
        assert ("schema" in content) == (media_type != "text/event-stream")
        for each in examples if "schema" in content else ():
            check(content["schema"], each, openapi())


@pytest.mark.parametrize("event", sorted(PAYLOADS))
def test_what_receivers_of_webhooks_get_is_told(event: str) -> None:
    told = openapi()["webhooks"][event]["post"]
    assert {each["name"] for each in told["parameters"]} == {
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
    }
    content = told["requestBody"]["content"][JSON]
    check(content["schema"], content["example"], openapi())
    read = msgspec.json.decode(msgspec.json.encode(content["example"]), type=PAYLOADS[event])
    assert (read.type, read.data.TYPE) == (event, event)


@pytest.mark.parametrize("name", sorted(routes()))
def test_the_examples_of_an_operation_can_be_read_as_its_types(name: str) -> None:
    told = next(each for _, _, each in operations(openapi()) if each["operationId"] == name)
    route = routes()[name]
    body = told.get("requestBody", {})
    success = next(each for status, each in told["responses"].items() if status[0] == "2")
    for kind, part in ((route.takes, body), (route.gives, success)):
        if kind is not None:
            example = part["content"][JSON]["example"]
            msgspec.json.decode(msgspec.json.encode(example), type=kind)


@EACH
def test_every_refusal_that_a_route_can_give_is_told_with_an_example(operation: Document) -> None:
    answers = {status: resolve(openapi(), each) for status, each in operation["responses"].items()}
    assert "default" in answers
    route = routes()[operation["operationId"]]
    assert "401" in answers or route.is_public
    assert "404" in answers or "{" not in route.path
    for error in route.found.errors:
        is_openai = route.path.startswith("/v1/")
        content = answers[str(error.status)]["content"][JSON if is_openai else "application/problem+json"]
        example = resolve(openapi(), content["examples"][error.code])["value"]
        if is_openai:
            assert len(example["error"]["message"]) > 10
            continue
        assert example["status"] == error.status
        assert example["type"] == f"/problems/{error.code.replace('_', '-')}"
        assert len(example["detail"]) > 10
    for status in {"429", "503"} & set(answers):
        assert "Retry-After" in answers[status]["headers"] or operation["operationId"] in (
            "getHealth",
            "getReady",
        )


@EACH
def test_who_may_do_it_is_told(operation: Document) -> None:
    route = routes()[operation["operationId"]]
    if route.is_public:
        assert operation["security"] == []
        return
    assert "security" not in operation
    assert operation["x-required-scopes"] == list(route.scopes)
    for scope in set(route.scopes) - {"*"}:
        assert f"`{scope}`" in operation["description"]


@pytest.mark.parametrize(("name", "frame"), FRAMES)
def test_every_frame_has_an_example_that_can_be_read(name: str, frame: Any) -> None:
    told = asyncapi()["components"]["messages"][name]
    example = told["examples"][0]["payload"]
    assert msgspec.json.decode(msgspec.json.encode(example), type=frame)
    check(told["payload"], example, asyncapi())
    assert told["summary"]
