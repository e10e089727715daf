"""The page that finds messages again."""

from __future__ import annotations

import html
import json
import re
from typing import Any

from tests.services.hub import Client


async def bring(client: Client, *texts: str, **fields: str) -> dict[str, Any]:
    """Bring a conversation along in which this was said; return it."""
    companion = await client.companion(**fields)
    lines: list[dict[str, Any]] = [
        {
            "type": "conversation",
            "format": "companion-hub.conversation",
            "version": 1,
            "title": "",
            "companion": {"name": companion["name"]},
            "created_at": "2026-01-02T03:00:00Z",
        }
    ]
    for number, text in enumerate(texts, 1):
        role = "user" if number % 2 else "assistant"
        moment = f"2026-01-02T03:00:{number:02}Z"
        lines.append(
            {"type": "message", "position": number, "role": role, "content": text, "created_at": moment}
        )
    lines.append({"type": "end", "messages": len(texts)})
    answer = await client.http.post(
        f"/api/conversations/import?companion_id={companion['id']}",
        content="\n".join(map(json.dumps, lines)).encode(),
        headers={"Content-Type": "application/x-ndjson"},
    )
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def search(client: Client, **query: str) -> str:
    answer = await client.http.get("/search", params=query)
    assert answer.status_code == 200, answer.text
    return answer.text


async def test_what_is_found(client: Client, other: Client) -> None:
    talk = await bring(client, "Do <b>mosses</b> grow here?", "Moss & fern.", name="Mira <3")
    await bring(client, "Moss elsewhere.", name="Iris")
    await bring(other, "Moss of others.")
    page = await search(client, q="moss")
    assert "<mark>Moss</mark> &amp; fern." in page
    assert "<strong>Mira &lt;3</strong>" in page
    assert "Mira &lt;3:</span>" in page
    assert f'href="/conversations/{talk["id"]}?message=2"' in page
    assert "<mark>Moss</mark> elsewhere." in page
    assert "others" not in page
    narrow = await search(client, q="moss", companion=talk["companion_id"])
    assert "elsewhere" not in narrow
    assert f'<option value="{talk["companion_id"]}" selected>' in narrow
    marked = await search(client, q="mosses")
    assert "Do &lt;b&gt;<mark>mosses</mark>&lt;/b&gt; grow here?" in marked
    assert "You:</span>" in marked


async def test_page_by_page(client: Client) -> None:
    await bring(client, *(f"moss number {number}" for number in range(1, 46)))
    seen: list[str] = []
    path = "/search?q=moss"
    for _ in range(3):
        page = (await client.http.get(path)).text
        seen += re.findall(r"</mark> number (\d+)", page)
        found = re.search(r'rel="next" href="([^"]+)"', page)
        path = html.unescape(found[1]) if found else ""
    assert seen == [str(number) for number in range(45, 0, -1)]
    assert path == ""


async def test_where_there_is_nothing_to_find(client: Client) -> None:
    assert "How to search" in await search(client)
    assert "How to search" in await search(client, q="  ")
    assert "Nobody has said this." in await search(client, q="moss")
    assert "There is no word in this." in await search(client, q="?!\0")
    assert "Use at most 200 characters." in await search(client, q="m" * 201)
    assert 'value="&#34;&gt;&lt;script&gt;"' in await search(client, q='"><script>')
    for companion in ("moss", "00000000-0000-7000-8000-000000000000"):
        answer = await client.http.get("/search", params={"q": "moss", "companion": companion})
        assert answer.status_code == 404
