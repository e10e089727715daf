"""The type of a problem is the address of a page about it."""

from __future__ import annotations

import re

from hub.web.pages import guide
from tests.services.hub import Client


async def test_the_type_of_a_problem_opens(client: Client) -> None:
    told = (await client.http.get("/api/companions/018f0000-0000-7000-8000-000000000000")).json()
    assert told["type"] == "/problems/companion-not-found"
    answer = await client.http.get(told["type"], headers={"Authorization": ""})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert f'<h1 lang="en">{told["title"]}</h1>' in answer.text
    assert '<span class="badge">HTTP 404</span>' in answer.text
    assert "<strong>Again:</strong> no." in answer.text


async def test_every_page_is_listed_and_linked(client: Client) -> None:
    listed = (await client.http.get("/problems", headers={"Authorization": ""})).text
    assert set(re.findall(r'<dt><a href="/problems/([a-z0-9-]+)">', listed)) == set(guide.kinds())
    pages = [listed]
    for name in guide.kinds():
        answer = await client.http.get(f"/problems/{name}", headers={"Authorization": ""})
        assert answer.status_code == 200, name
        pages.append(answer.text)
    linked = {link for page in pages for link in re.findall(r'href="/problems/([^"]+)"', page)}
    assert linked == set(guide.kinds())
    assert not [page for page in pages if ".md" in re.sub(r"<code>[^<]*</code>", "", page)]


async def test_what_there_is_no_page_for(client: Client) -> None:
    for name in ("nothing", "not_signed_in", "%3Cscript%3E", "x" * 3000):
        answer = await client.http.get(f"/problems/{name}", headers={"Authorization": ""})
        assert answer.status_code == 404, name
        assert "<script>" not in answer.text


async def test_in_german_only_the_text_is_english(client: Client) -> None:
    german = {"Accept-Language": "de", "Authorization": ""}
    page = (await client.http.get("/problems/llm-timeout", headers=german)).text
    assert "Diesen Text gibt es nur auf Englisch." in page
    assert "bei einer misslungenen Antwort" in page
    assert page.startswith('<!doctype html>\n<html lang="de"')
    assert '<div lang="en"><p>Nothing came for' in page
