"""The OpenAPI document and its page: complete, true to the code, and nothing of it from elsewhere."""

from __future__ import annotations

import re
from typing import cast

from httpx2 import AsyncClient

from tests.services.documents import Document, openapi, operations, resolve
from tests.services.hub import HubServer
from tests.services.openai_routes import OPENAI_ROUTES
from tests.services.refusals import refused
from tests.services.routes import ROUTES


async def document_of(hub: HubServer) -> Document:
    async with AsyncClient(base_url=hub.url) as http:
        answer = await http.get("/docs/openapi.json")
    assert answer.status_code == 200
    return cast("Document", answer.json())


async def test_what_is_served_is_what_the_code_says(hub: HubServer) -> None:
    assert await document_of(hub) == openapi()


async def test_every_route_is_in_the_table_that_the_other_tests_go_through(hub: HubServer) -> None:
    document = await document_of(hub)
    documented = {
        (operation["operationId"], method.upper(), path, "requestBody" in operation)
        for path, method, operation in operations(document)
    }
    assert documented == {
        (each.operation, each.method, each.path, each.body is not None or each.upload or each.talk)
        for each in (*ROUTES, *OPENAI_ROUTES)
    }


async def test_public_routes_and_no_others_need_no_token(hub: HubServer) -> None:
    document = await document_of(hub)
    assert document["security"]
    public = {each["operationId"] for _, _, each in operations(document) if each.get("security") == []}
    assert public == {route.operation for route in ROUTES if route.public}


async def test_only_a_body_that_may_be_left_out_is_not_required(hub: HubServer) -> None:
    document = await document_of(hub)
    optional = {
        each["operationId"]
        for _, _, each in operations(document)
        if "requestBody" in each and not each["requestBody"]["required"]
    }
    assert optional == {route.operation for route in ROUTES if route.optional}


async def test_every_success_has_a_schema(hub: HubServer) -> None:
    document = await document_of(hub)
    for path, method, operation in operations(document):
        successes = {status: answer for status, answer in operation["responses"].items() if status[0] == "2"}
        successes.pop("206", None)  # a part of the 200
        assert len(successes) == 1, (method, path)
        for status, answer in successes.items():
            if status == "204":
                continue
            for media_type, content in answer["content"].items():
                lines = ("text/event-stream", "application/x-ndjson")
                if media_type in lines or media_type.startswith("image/"):
                    continue
                schema = resolve(document, content["schema"])
                assert schema["type"] == "object", (method, path)
                assert schema["properties"], (method, path)


async def test_every_refusal_is_a_problem_document(hub: HubServer) -> None:
    document = await document_of(hub)
    problem = document["components"]["schemas"]["Problem"]
    assert set(problem["required"]) == {"type", "title", "status", "detail", "request_id"}
    for path, method, operation in operations(document):
        refusals = {
            status: resolve(document, answer)
            for status, answer in operation["responses"].items()
            if status[0] not in "235"
        }
        assert "default" in refusals, (method, path)
        assert "404" in refusals or "{" not in path, (method, path)
        assert "401" in refusals or operation.get("security") == [], (method, path)
        if "requestBody" in operation:
            assert {"400", "413", "415"} <= set(refusals), (method, path)
        for answer in refusals.values() if not path.startswith("/v1/") else ():
            assert list(answer["content"]) == ["application/problem+json"], (method, path)
            assert resolve(document, answer["content"]["application/problem+json"]["schema"]) == problem


async def test_every_reference_leads_somewhere(hub: HubServer) -> None:
    document = await document_of(hub)
    found = 0

    def walk(part: object) -> None:
        nonlocal found
        if isinstance(part, dict):
            if "$ref" in part:
                assert resolve(document, part)
                found += 1
            for each in part.values():
                walk(each)
        elif isinstance(part, list):
            for each in part:
                walk(each)

    walk(document)
    assert found > 20


async def test_bodies_are_closed_and_patterns_are_those_of_javascript(hub: HubServer) -> None:
    document = await document_of(hub)
    for path, method, operation in operations(document):
        content = operation.get("requestBody", {}).get("content", {})
        # Files have no schema; clients of OpenAI send more than is known here.
        if content and "multipart/form-data" not in content and not path.startswith("/v1/"):
            body = resolve(document, content["application/json"]["schema"])
            assert body["additionalProperties"] is False, (method, path)
    assert "\\\\Z" not in str(document)
    username = document["components"]["schemas"]["Register"]["properties"]["username"]
    assert re.search(username["pattern"], "ida_1")
    assert not re.search(username["pattern"], "Ida")


async def test_the_page_loads_with_nothing_from_elsewhere(hub: HubServer) -> None:
    async with AsyncClient(base_url=hub.url) as http:
        page = await http.get("/docs")
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        assert not re.findall(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", page.text)
        assets = re.findall(r"""(?:src|href)\s*=\s*["'](/[^"']+)["']""", page.text)
        assert len(assets) >= 3
        for asset in assets:
            answer = await http.get(asset)
            assert answer.status_code == 200, asset
            if asset.endswith(".css"):
                assert not re.findall(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", answer.text), asset
        assert '<a href="/docs/openapi.json">' in page.text
        assert '<a href="/docs/asyncapi">' in page.text


async def test_unknown_pages_of_the_documentation_are_refused_like_all_others(hub: HubServer) -> None:
    async with AsyncClient(base_url=hub.url) as http:
        for path in ("/docs/nothing", "/docs/openapi.yaml", "/docs-assets/nothing.js", "/docs-assets/"):
            refused(await http.get(path), 404)
