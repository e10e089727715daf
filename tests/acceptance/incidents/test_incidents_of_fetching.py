"""Incidents of comparable systems: a server that is made to fetch what lies in its own network (SSRF).

The addresses come from an image server's answers: nobody but a provider names any that the hub asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import httpcore2
import pytest

from hub.providers.http.foreign import ForeignError, ForeignFetcher
from tests.acceptance.incidents.conftest import ImageServer, Inside
from tests.fakes.openai_images import drawn
from tests.services.hub import Client


async def led_nowhere(guest: Client, image_server: ImageServer, inside: Inside, *urls: str) -> None:
    """Have the image server name these addresses, one a picture, and see that none is asked."""
    companion = await guest.companion()
    image_server.script(*(drawn({"url": url}) for url in urls))
    for url in urls:
        job = await guest.done((await guest.ask_image(companion["id"]))["id"])
        assert job["status"] == "failed", url
        assert job["error"]["code"] == "image_bad_answer", url
        assert "secret" not in str(job), url
    assert inside.requests == []


def port_of(server: Inside) -> str:
    return server.origin.rpartition(":")[2]


async def test_cve_2026_45400_parsers_that_disagree_lead_nowhere(
    guest: Client, image_server: ImageServer, inside: Inside
) -> None:
    port = port_of(inside)
    await led_nowhere(
        guest,
        image_server,
        inside,
        f"http://pictures.example@127.0.0.1:{port}/x",
        f"http://127.0.0.1:{port}\\@pictures.example/x",
        f"http://pictures.example\t@127.0.0.1:{port}/x",
        f"http://127.0.0.1:{port}%2f@pictures.example:bad/x",
        f"http://2130706433:{port}/x",
        f"http://0x7f.1:{port}/x",
        f"http://\u2460\u2461\u2466.0.0.1:{port}/x",
    )


async def test_cve_2026_45401_a_redirect_leads_nowhere(
    guest: Client, image_server: ImageServer, inside: Inside
) -> None:
    image_server.moved_to = f"{inside.origin}/x"
    await led_nowhere(guest, image_server, inside, f"{image_server.origin}/files/moved")
    assert image_server.at("/files/moved")


async def test_cve_2026_31943_ipv4_in_ipv6_leads_nowhere(
    guest: Client, image_server: ImageServer, inside: Inside
) -> None:
    port = port_of(inside)
    await led_nowhere(
        guest,
        image_server,
        inside,
        f"http://[::ffff:127.0.0.1]:{port}/x",
        f"http://[::ffff:7f00:1]:{port}/x",
        f"http://[0:0:0:0:0:ffff:127.0.0.1]:{port}/x",
        f"http://[::127.0.0.1]:{port}/x",
        f"http://[64:ff9b::7f00:1]:{port}/x",
        f"http://[2002:7f00:1::]:{port}/x",
    )


class _Network(httpcore2.AsyncNetworkBackend):
    """Notes who is called; nobody answers."""

    def __init__(self) -> None:
        self.called: list[str] = []

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore2's
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        del port, timeout, local_address, socket_options
        self.called.append(host)
        raise httpcore2.ConnectError("nobody there")


@pytest.mark.parametrize("first", [["93.184.215.14"], ["93.184.215.14", "93.184.215.15"]], ids=len)
async def test_cve_2026_54020_a_name_that_changes_its_mind_leads_nowhere(first: list[str]) -> None:
    """DNS rebinding: the address that was checked is the one that is called, whatever the name says next."""
    asked = 0

    async def resolve(host: str, port: int) -> Sequence[str]:
        nonlocal asked
        del host, port
        asked += 1
        return first if asked == 1 else ["127.0.0.1"]

    network = _Network()
    with pytest.raises(ForeignError):
        await ForeignFetcher(own=None, resolve=resolve, network=network).get("http://pictures.example/x")
    assert (asked, network.called) == (1, first)


async def test_cve_2026_54020_a_name_with_one_address_inside_is_not_asked_at_all() -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        del host, port
        return ["93.184.215.14", "::ffff:127.0.0.1"]

    network = _Network()
    with pytest.raises(ForeignError):
        await ForeignFetcher(own=None, resolve=resolve, network=network).get("http://pictures.example/x")
    assert network.called == []
