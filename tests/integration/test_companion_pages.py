"""The pages of companions as a browser without scripts uses them: cards, the editor, parting."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote

import httpx2
import pytest

from tests.services import pictures
from tests.services.hub import Client, HubServer
from tests.services.picture_files import Store, picture
from tests.services.uploads import FORM, connection, form, part
from tests.services.waiting import eventually

XSS = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
TYPED = {
    "name": "Mira <b>",
    "description": "A calm botanist\nwho loves moss & ferns.",
    "greeting": "",
    "appearance": "</textarea>",
    "default_outfit": "",
}
OTHERS = ("edit", "delete", "wipe")
PNG = picture(0)
LARGE = b"\xff\xd8".ljust(10 * 1024 * 1024 + 1, b"\0")

REFUSED_PICTURES: dict[str, tuple[str, bytes, int, str]] = {
    "a GIF": ("a.gif", b"GIF89a\1\0\1\0\x80\0\0", 415, "This kind of file is not taken."),
    "a page": ("a.png", b"<!doctype html><script>alert(1)</script>", 415, "This kind of file is not taken."),
    "half a PNG": ("a.png", PNG[: len(PNG) // 2], 422, "This picture cannot be read"),
    "nothing": ("a.png", b"", 422, "This file is empty."),
    "too many pixels": ("a.png", pictures.flat_png(8_000, 6_000), 413, "too many pixels"),
    "too many bytes": ("a.jpg", LARGE, 413, "A picture may have up to 10 MB."),
}


class Browser:
    """A browser without scripts in which a user is signed in by cookie."""

    def __init__(self, client: Client) -> None:
        headers = {"Origin": client.url, "Sec-Fetch-Site": "same-origin", "Accept-Language": "en"}
        cookies = {"hub_session": client.token}
        self.client = client
        self.http = httpx2.AsyncClient(base_url=client.url, headers=headers, cookies=cookies, timeout=30)

    async def see(self, path: str) -> str:
        """Return a page."""
        answer = await self.http.get(path)
        assert answer.status_code == 200, (path, answer.status_code)
        assert answer.headers["content-type"].startswith("text/html")
        return str(answer.text)

    async def send(
        self, path: str, fields: dict[str, str], *, file: tuple[str, bytes] = ("", b""), by: str = ""
    ) -> httpx2.Response:
        """Send the editor's form, which has an empty file where none was chosen."""
        parts = [part(text.encode(), name=name, file_name=None) for name, text in fields.items()]
        body = form(*parts, part(file[1], name="picture", file_name=file[0]))
        return await self.http.post(
            path, content=body, headers={"Content-Type": FORM, "X-Requested-With": by}
        )

    async def edit(self, companion: str, **changes: str) -> dict[str, str]:
        """Return what the editor's form holds, with changes."""
        page = await self.see(f"/companions/{companion}/edit")
        inputs = re.findall(r'<input\b[^>]* name="(\w+)"[^>]* value="([^"]*)"', page)
        texts = re.findall(r'<textarea\b[^>]* name="(\w+)"[^>]*>\n([^<]*)</textarea>', page)
        fields = {name: html.unescape(value) for name, value in (*inputs, *texts)}
        return {k: v for k, v in fields.items() if k not in ("next", "remove_picture")} | changes

    async def companions(self) -> list[dict[str, Any]]:
        """Return what the user has, as the API tells it."""
        return list((await self.client.http.get("/api/companions")).json()["items"])

    async def companion(self, companion: str) -> dict[str, Any]:
        """Return one of them."""
        return dict((await self.client.http.get(f"/api/companions/{companion}")).json())


@pytest.fixture
async def browser(client: Client) -> AsyncIterator[Browser]:
    found = Browser(client)
    yield found
    await found.http.aclose()


@pytest.fixture
async def header(hub: HubServer, client: Client) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Yield a companion with a picture; in the end no temporary file may be left."""
    companion = (await client.companion())["id"]
    yield companion, await client.set_header_image(companion, PNG)
    await eventually(lambda: not list(Store(hub).temporary.iterdir()))


async def test_make_change_and_part(browser: Browser, hub: HubServer) -> None:
    assert "Who would you like to talk to?" in await browser.see("/companions")
    made = await browser.send("/companions/new", TYPED, file=("me.png", PNG))
    assert made.status_code == 303, made.text
    (mira,) = await browser.companions()
    assert made.headers["location"] == f"/companions/{mira['id']}"
    for name in ("name", "description", "appearance", "greeting"):
        assert mira[name] == TYPED[name]
    assert (mira["default_outfit"], mira["header_image"]["original_bytes"]) == ("casual clothes", len(PNG))
    listed = await browser.see("/companions")
    assert "Mira &lt;b&gt; is here. Say hello!" in listed
    assert f'src="{mira["header_image"]["url"]}' in listed
    assert "You have not talked yet." in listed

    changed = await browser.edit(mira["id"], name="  Mirabel ", location="a greenhouse", greeting="Hi!")
    assert changed["description"] == TYPED["description"]
    path = f"/companions/{mira['id']}/edit"
    assert (await browser.send(path, changed, file=("b.png", picture(1)))).status_code == 303
    mirabel = await browser.companion(mira["id"])
    assert (mirabel["name"], mirabel["greeting"], mirabel["scene"]["location"]) == (
        "Mirabel",
        "Hi!",
        "a greenhouse",
    )
    assert mirabel["header_image"]["sha256"] != mira["header_image"]["sha256"]
    fields = await browser.edit(mira["id"], remove_picture="1")
    assert (await browser.send(path, fields)).status_code == 303
    assert (await browser.companion(mira["id"])) == mirabel | {
        "header_image": None,
        "updated_at": (await browser.companion(mira["id"]))["updated_at"],
    }

    talk = await browser.client.conversation(mira["id"])
    said = await browser.client.send(talk["id"], "Hello <i>there</i>")
    await browser.client.ended(said["response"]["id"])
    assert "3 messages" in await browser.see(f"/companions/{mira['id']}/wipe")
    assert "1 conversation, 3 messages" in await browser.see(f"/companions/{mira['id']}/delete")
    wiped = await browser.http.post(f"/companions/{mira['id']}/wipe")
    assert (wiped.status_code, wiped.headers["location"]) == (303, f"/companions/{mira['id']}")
    assert "3 messages and 0 pictures are gone" in await browser.see("/companions")
    gone = await browser.http.post(f"/companions/{mira['id']}/delete")
    assert (gone.status_code, gone.headers["location"]) == (303, "/companions")
    assert "Mirabel is deleted." in await browser.see("/companions")
    assert await browser.companions() == []
    await eventually(lambda: not list(Store(hub).temporary.iterdir()))


async def test_a_form_comes_back_as_it_was_typed(browser: Browser) -> None:
    answer = await browser.send(
        "/companions/new", TYPED | {"name": " ", "description": XSS * 800}, file=("a.png", PNG)
    )
    assert answer.status_code == 400
    assert "Give it a name of 1 to 100 characters." in answer.text
    assert "Describe it in 10 to 8,000 characters." in answer.text
    assert "Please choose the picture once more" in answer.text
    assert html.escape(XSS).replace("&quot;", "&#34;") in answer.text
    assert "<script>alert" not in answer.text
    assert "&lt;/textarea&gt;" in answer.text
    assert await browser.companions() == []


@pytest.mark.parametrize("refused", REFUSED_PICTURES)
async def test_without_its_picture_nothing_is_stored(
    browser: Browser, header: tuple[str, dict[str, Any]], refused: str
) -> None:
    companion, _ = header
    name, content, status, sentence = REFUSED_PICTURES[refused]
    before = await browser.companions()
    made = await browser.send("/companions/new", TYPED, file=(name, content))
    fields = await browser.edit(companion, name="Somebody else")
    changed = await browser.send(f"/companions/{companion}/edit", fields, file=(name, content))
    for answer, typed in ((made, TYPED["name"]), (changed, "Somebody else")):
        assert answer.status_code == status, answer.text
        (problem,) = re.findall(r'<p class="problem" id="problem-picture"[^>]*>([^<]*)</p>', answer.text)
        assert sentence in problem
        assert f'value="{html.escape(typed)}"' in answer.text
    assert await browser.companions() == before


async def test_forms_that_no_browser_sends(browser: Browser) -> None:
    bodies = {
        "urlencoded": ("application/x-www-form-urlencoded", b"name=Mira&description=long+enough", 415),
        "no boundary": ("multipart/form-data", form(part(b"Mira", name="name", file_name=None)), 400),
        "cut off": (FORM, part(b"Mira", name="name", file_name=None)[:-3], 400),
        "long fields": (FORM, form(part(b"x" * 600_000, name="name", file_name=None)), 400),
        "long fields that nobody reads": (FORM, form(part(b"x" * 600_000, name="more", file_name=None)), 400),
        "many fields": (FORM, form(*[part(b"", name=f"n{i}", file_name=None) for i in range(50)]), 400),
        "no text": (FORM, form(part(b"a\0b", name="name", file_name=None)), 400),
        "nothing": (FORM, form(), 400),
    }
    for what, (media_type, body, status) in bodies.items():
        answer = await browser.http.post(
            "/companions/new", content=body, headers={"Content-Type": media_type}
        )
        assert answer.status_code == status, what
        assert "<h1>" in answer.text, what
    lines = (f"Content-Type: {FORM}", f"Content-Length: {100 * 1024 * 1024}")
    async with connection(browser.client, "/companions/new", *lines, method="POST") as (reader, _):
        assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
    twice = form(
        part(b"The first one", name="name", file_name=None),
        part(b"The first text", name="description", file_name=None),
        part(b"Another one", name="name", file_name=None),
        part(PNG, name="picture"),
        part(b"no picture", name="picture"),
    )
    answer = await browser.http.post("/companions/new", content=twice, headers={"Content-Type": FORM})
    assert answer.status_code == 303
    (made,) = await browser.companions()
    assert (made["name"], made["description"]) == ("The first one", "The first text")
    assert made["header_image"]["original_bytes"] == len(PNG)


async def test_what_was_changed_elsewhere_is_not_overwritten_unseen(
    browser: Browser, header: tuple[str, dict[str, Any]]
) -> None:
    companion, _ = header
    api, path = f"/api/companions/{companion}", f"/companions/{companion}/edit"
    fields = await browser.edit(companion, name="Mine")
    await browser.client.http.patch(api, json={"description": "Written <elsewhere>.", "name": "Theirs"})
    answer = await browser.send(path, fields, file=("b.png", picture(1)))
    assert answer.status_code == 412
    assert "was changed elsewhere while you were writing" in answer.text
    assert 'value="Mine"' in answer.text
    assert "<p>Theirs</p>" in answer.text
    assert "<p>Written &lt;elsewhere&gt;.</p>" in answer.text
    there = await browser.companion(companion)
    assert (there["name"], there["header_image"]["sha256"]) == ("Theirs", header[1]["sha256"])
    (seen,) = re.findall(r'name="seen" value="([^"]*)"', answer.text)
    again = await browser.send(path, fields | {"seen": html.unescape(seen)}, file=("b.png", picture(1)))
    assert again.status_code == 303
    assert (await browser.companion(companion))["name"] == "Mine"

    # A talk goes on while somebody writes: its scene is theirs only if they write another one.
    fields = await browser.edit(companion, name="Later")
    await browser.client.http.patch(api, json={"scene": {"location": "a meadow"}})
    assert (await browser.send(path, fields)).status_code == 303
    there = await browser.companion(companion)
    assert (there["name"], there["scene"]["location"]) == ("Later", "a meadow")
    fields = await browser.edit(companion, location="a beach")
    await browser.client.http.patch(api, json={"scene": {"location": "a hill"}})
    answer = await browser.send(path, fields)
    assert answer.status_code == 412
    assert "<p>a hill</p>" in answer.text


async def test_a_script_is_told_where_to_go(browser: Browser) -> None:
    answer = await browser.send("/companions/new", TYPED, by="XMLHttpRequest")
    (made,) = await browser.companions()
    assert (answer.status_code, answer.headers["location"]) == (204, f"/companions/{made['id']}")
    assert "Say hello!" in await browser.see("/companions")


async def test_the_companions_of_others_are_not_there(browser: Browser, other: Client) -> None:
    companion = await other.companion()
    fields = {"name": "Stolen", "description": "By somebody else."}
    for theirs in (companion["id"], "01890000-0000-7000-8000-000000000000"):
        for way in OTHERS:
            path = f"/companions/{theirs}/{way}"
            for answer in (await browser.http.get(path), await browser.send(path, fields)):
                assert answer.status_code == 404, path
                assert "There is no such companion." in answer.text
    assert "Mira" not in await browser.see("/companions?q=mira")
    assert (await other.http.get(f"/api/companions/{companion['id']}")).json() == companion


async def test_nobody_and_other_pages(browser: Browser) -> None:
    companion = await browser.client.companion()
    paths = [f"/companions/{companion['id']}/{way}" for way in OTHERS]
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    samples = ("/companions/samples", "/companions/samples/remove")
    for path in (*paths, "/companions/new", *samples):
        assert (await browser.http.post(path, headers=foreign)).status_code == 403, path
    async with httpx2.AsyncClient(base_url=browser.client.url) as nobody:
        for path in ("/companions", "/companions/new", *paths):
            answer = await nobody.get(path)
            assert unquote(answer.headers["location"]) == f"/login?next={path}"
        for path in (*paths, "/companions/new", *samples):
            answer = await nobody.post(path)
            assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert await browser.companions() == [companion]


async def test_names_are_text_wherever_they_are_shown(browser: Browser) -> None:
    companion = await browser.client.companion(name=XSS[:100], greeting=XSS)
    await browser.client.conversation(companion["id"])
    shown = [await browser.see(f"/companions/{companion['id']}/{way}") for way in OTHERS]
    shown += [await browser.see("/companions"), await browser.see(f"/companions?q={XSS}")]
    for page in shown:
        assert "&lt;script&gt;alert(1)" in page
        assert not re.findall(r"<script(?![^>]*\bsrc=)|<img src=x|\bstyle=", page)


async def test_many_companions_are_found_by_name_and_in_pages(browser: Browser) -> None:
    for number in range(26):
        await browser.client.companion(name=f"Number {number}")
    first = await browser.see("/companions")
    assert first.count('class="companion-link"') == 24
    assert first.index("Number 25<") < first.index("Number 24<")
    (more,) = re.findall(r'href="(/companions\?cursor=[^"]*)">Show more', first)
    last = await browser.see(html.unescape(more))
    assert re.findall(r"Number \d+<", last) == ["Number 1<", "Number 0<"]
    assert re.findall(r"Number \d+<", await browser.see("/companions?q=%20BER%201%20")) == [
        f"Number {number}<" for number in (*range(19, 9, -1), 1)
    ]
    assert "Nobody here is called “%_”." in await browser.see("/companions?q=%25_")
    assert (await browser.http.get("/companions?cursor=nonsense")).status_code == 400


async def test_samples_come_and_go_by_one_click(browser: Browser) -> None:
    own = await browser.client.companion(name="My own")
    await browser.http.post("/companions/samples", headers={"Accept-Language": "de"})
    listed = await browser.see("/companions")
    assert "These 2 are samples" in listed
    assert "messages of yours" not in listed
    sample = next(each for each in await browser.companions() if each["sample"])
    talk = await browser.client.http.get("/api/conversations", params={"companion_id": sample["id"]})
    said = await browser.client.send(talk.json()["items"][0]["id"], "Hello")
    await browser.client.ended(said["response"]["id"])
    assert "With them goes 1 message of yours." in await browser.see("/companions")
    gone = await browser.http.post("/companions/samples/remove")
    assert (gone.status_code, gone.headers["location"]) == (303, "/companions")
    assert await browser.companions() == [own]
    assert "samples to look around" not in await browser.see("/companions")
