"""Incidents of comparable systems: a server that falls over, gives away its files, or obeys other names."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import websockets
from httpx2 import AsyncClient

from hub.legacy.uploads import Uploads
from hub.legacy.writing import UnreadablePictureError
from tests.services.hub import Client, HubServer
from tests.services.picture_files import Store
from tests.services.pictures import flat_png
from tests.services.refusals import refused
from tests.services.routes import Home
from tests.services.uploads import FORM, form, part

UP = (
    "../",
    "..%2f",
    "%2e%2e/",
    "%2e%2e%2f",
    "..\\",
    "..%5c",
    "%252e%252e%252f",
    "..%c0%af",
    "....//",
    "..;/",
    "%00/../",
)
PLACES = (
    "/docs-assets/",
    "/docs/",
    "/api/images/",
    "/uploads/",
    "/api/images/018f0000-0000-7000-8000-000000000000/",
    "/",
)
NO_TARGETS = (
    "/api/companions",
    "/api/companions/",
    "/api/companions/undefined",
    "/api/companions/%00",
    "/api/companions/018f0000-0000-7000-8000-00000000000",
    "/api/conversations/[object%20Object]",
    "/api/images/..",
    "/api/messages/null",
    "*",
)
BODIES = (b"", b"{", b"null", b"[]", b'{"arg": null}', b"\xff" * 64, b"x" * 70_000)
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
REFUSED = (b"HTTP/1.1 400", b"HTTP/1.1 404", b"HTTP/1.1 405")
#: What the files that nobody is to read begin with, or hold.
SECRETS = (b"root:x:", b"[project]", b"Every setting with its default", b"PRIVATE KEY")


async def raw(hub: HubServer, request: bytes) -> bytes:
    """Send bytes as they are and return all that comes back."""
    where = urlsplit(hub.url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    try:
        writer.write(request)
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()


async def test_cve_2026_31949_a_malformed_delete_harms_nobody(client: Client, hub: HubServer) -> None:
    home = await Home.of(client)
    before, pid = await home.everything(), hub.pid
    for target in NO_TARGETS:
        head = (
            f"DELETE {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {client.token}\r\n"
            "Content-Type: application/json\r\nConnection: close\r\n"
        ).encode()
        for body in BODIES:
            for framing in (
                b"Content-Length: %d\r\n\r\n%s" % (len(body), body),
                CHUNKED + (b"%x\r\n%s\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n",
                CHUNKED + b"zz\r\n",
            ):
                answer = await raw(hub, head + framing)
                assert answer.startswith(REFUSED), (target, body[:20], answer)
                assert b"application/problem+json" in answer
    assert await home.everything() == before
    assert hub.pid == pid
    assert (await client.http.get("/api/health/live")).status_code == 200
    assert "Traceback" not in hub.output


async def test_cve_2024_41704_no_address_leads_to_a_file_of_the_machine(
    client: Client, hub: HubServer
) -> None:
    for place in PLACES:
        for up in UP:
            for file in ("etc/passwd", "config/hub.toml", "pyproject.toml"):
                request = (
                    f"GET {place}{up * 12}{file} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                    f"Authorization: Bearer {client.token}\r\nConnection: close\r\n\r\n"
                )
                answer = await raw(hub, request.encode())
                assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 404")), (place, up, answer[:200])
                assert not [secret for secret in SECRETS if secret in answer]


async def test_cve_2026_34524_the_name_of_an_upload_leads_nowhere(client: Client, hub: HubServer) -> None:
    companion = await client.companion()
    store = Store(hub)
    for name in (
        "../../../../x.png",
        "/tmp/x.png",
        "..\\..\\x.png",
        "%2e%2e%2fx.png",
        "a/../../x.png",
        "x\0.png",
    ):
        body = form(part(flat_png(64, 48), file_name=name))
        path = f"/api/companions/{companion['id']}/header-image"
        answer = await client.http.put(path, content=body, headers={"Content-Type": FORM})
        assert answer.status_code in (200, 400)
    for folder in ("../..", "..%2f..", "%2e%2e"):
        answer = await client.http.put(
            f"/api/companions/{folder}/header-image",
            content=flat_png(64, 48),
            headers={"Content-Type": "image/png"},
        )
        assert answer.status_code in (404, 405)
    sha256 = (await client.http.get(f"/api/companions/{companion['id']}")).json()["header_image"]["sha256"]
    assert store.names(companion["id"]) == {f"{sha256}.avif", f"{sha256}.thumb.avif"}
    assert {each.name for each in (store.data_dir / "uploads").iterdir()} == {"companions", "tmp"}
    assert not list(store.data_dir.parent.rglob("x.png"))


@pytest.mark.parametrize(
    "address",
    [
        "/uploads/companions/c1/headers/../../../../secret.jpg",
        "/uploads/companions/c1/headers/%2e%2e%2f%2e%2e%2f%2e%2e%2f%2e%2e%2fsecret.jpg",
        "/uploads/companions/../../secret.jpg",
        "/uploads/companions/c1/headers/link.jpg",
        "../secret.jpg",
        "/etc/passwd",
    ],
)
def test_cve_2026_44650_what_is_imported_comes_from_its_folder(tmp_path: Path, address: str) -> None:
    headers = tmp_path / "uploads" / "companions" / "c1" / "headers"
    headers.mkdir(parents=True)
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (headers / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    target = tmp_path / "out"
    with target.open("w+b") as out, pytest.raises(UnreadablePictureError):
        Uploads(tmp_path / "uploads").copy(address, "c1", out.fileno())
    assert target.read_bytes() == b""


async def test_cve_2025_59159_a_page_that_has_its_name_point_here_learns_nothing(client: Client) -> None:
    """DNS rebinding: the browser believes that it talks to the page's own server."""
    port = urlsplit(client.url).port
    for name in ("rebind.evil.example", "127.0.0.1.evil.example", "localhost.evil.example"):
        page = {"Host": f"{name}:{port}", "Origin": f"http://{name}:{port}", "Sec-Fetch-Site": "same-origin"}
        async with AsyncClient(base_url=client.url, headers=page) as http:
            for path in ("/", "/docs/openapi.json", "/api/health", "/api/me", "/setup?token=x"):
                problem = refused(await http.get(path), 400)
                assert problem["type"] == "/problems/host-not-allowed"
            body = {"username": "rebound", "email": "r@example.org", "password": "correct horse battery"}
            refused(await http.post("/api/auth/register", json={**body, "cookie": True}), 400)
            refused(await http.get("/api/me", headers={"Cookie": f"hub_session={client.token}"}), 400)
        connecting = websockets.connect(
            f"ws://{name}:{port}/api/ws",
            host="127.0.0.1",
            additional_headers={"Cookie": f"hub_session={client.token}", "Origin": page["Origin"]},
        )
        with pytest.raises(websockets.InvalidStatus) as refusal:
            await connecting
        assert json.loads(refusal.value.response.body or b"")["status"] == 400
