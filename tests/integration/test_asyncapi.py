"""The AsyncAPI document is true: to the sockets' code, to its specification, and to what sockets say."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from httpx2 import AsyncClient
from msgspec import Struct

from hub.domain.chat import frames as told
from hub.web import sockets as endings
from hub.web.documents.frames import sockets
from hub.web.v1 import response_objects
from hub.web.ws import frames
from tests.services.documents import Document, asyncapi, bundled, resolve
from tests.services.hub import PROJECT, Client, HubServer


def messages() -> Document:
    return dict(asyncapi()["components"]["messages"])


def validator(kind: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(bundled(asyncapi(), messages()[kind]["payload"]))


def tags(module: Any) -> set[str]:
    """Return the types of all frames of a module, which are those whose type is not just their name."""
    return {
        str(each.__struct_config__.tag)
        for each in vars(module).values()
        if inspect.isclass(each) and issubclass(each, Struct)
        if each.__struct_config__.tag not in (None, each.__name__)
    }


def test_every_frame_of_the_code_is_in_the_document() -> None:
    assert tags(frames) | tags(told) <= set(messages())
    assert {f"responses.{tag}" for tag in tags(response_objects) if "." in tag} <= set(messages())


def test_every_message_belongs_to_a_channel_and_to_one_direction() -> None:
    document = asyncapi()
    for channel in document["channels"].values():
        for name, reference in channel["messages"].items():
            assert resolve(document, reference) is messages()[name]
    directions = [
        (operation["action"], reference["$ref"].rpartition("/")[2])
        for operation in document["operations"].values()
        for reference in operation["messages"]
    ]
    assert len(directions) == len(set(directions))
    assert {name for _, name in directions} == set(messages())
    assert ("receive", "conversation.item.create") in directions
    assert ("send", "conversation.item.added") in directions


def test_the_document_has_the_form_that_its_specification_asks() -> None:
    document = asyncapi()
    assert set(document) <= {
        "asyncapi",
        "info",
        "defaultContentType",
        "servers",
        "channels",
        "operations",
        "components",
    }
    assert re.fullmatch(r"3\.1\.\d+", document["asyncapi"])
    for name in (*document["components"]["messages"], *document["components"]["schemas"]):
        assert re.fullmatch(r"[\w.-]+", name)
    for operation in document["operations"].values():
        assert operation["action"] in ("send", "receive")
        channel = resolve(document, operation["channel"])
        own = [f"{operation['channel']['$ref']}/messages/{name}" for name in channel["messages"]]
        assert {each["$ref"] for each in operation["messages"]} <= set(own)
    for server in document["servers"].values():
        assert [resolve(document, each)["type"] for each in server["security"]]


def test_every_close_code_is_told() -> None:
    talk = next(socket for socket in sockets() if socket.address == "/api/ws")
    ours = {value for name, value in vars(endings).items() if name[:6] == "CLOSE_"}
    page = (PROJECT / "docs" / "websocket.md").read_text(encoding="utf-8")
    in_words = {int(code) for code in re.findall(r"\b(1\d{3}|44\d{2})\b", page.partition("Close codes:")[2])}
    assert ours | in_words <= set(talk.closes)
    assert set(asyncapi()["channels"]["talk"]["x-close-codes"]) == {str(code) for code in talk.closes}


async def test_what_a_socket_really_says_fits_the_document(client: Client) -> None:
    conversation = await client.conversation()
    async with client.socket() as socket:
        await socket.subscribe(conversation["id"])
        await socket.say(conversation["id"], "What grows here?", response={"generate_image": True})
        await socket.finished()
        await socket.expect("response.image_generation_call.completed")
        companion = f"/api/companions/{conversation['companion_id']}"
        await client.http.patch(companion, json={"scene": {"outfit": "a hat"}})
        await socket.expect("companion_hub.scene")
        await socket.send(type="response.cancel", response_id=conversation["id"], event_id="nothing")
        await socket.expect("error")
        await client.http.post(f"{companion}/wipe")
        await socket.expect("companion_hub.resync")
    kinds = {frame["type"] for frame in socket.frames}
    assert len(kinds) > 10
    for frame in socket.frames:
        validator(frame["type"]).validate(frame)


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "response.cancel"},
        {"type": "response.cancel", "response_id": "nothing", "event_id": 1},
        {"type": "response.cancel", "response_id": "018f0000-0000-7000-8000-000000000000", "more": 1},
    ],
)
def test_what_is_wrong_does_not_fit_the_document(frame: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        validator("response.cancel").validate(frame)


async def test_the_document_and_its_page_are_served_with_nothing_from_elsewhere(hub: HubServer) -> None:
    async with AsyncClient(base_url=hub.url) as http:
        assert (await http.get("/docs/asyncapi.json")).json() == asyncapi()
        page = await http.get("/docs/asyncapi")
        assert page.headers["content-type"].startswith("text/html")
        assert not re.findall(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//|<script""", page.text)
        for address in set(re.findall(r"""(?:src|href)="(/[^"]+)\"""", page.text)):
            assert (await http.get(address)).status_code == 200, address
        for message in messages().values():
            assert f'id="{message["name"]}"' in page.text
        assert "default-src 'none'" in page.headers["content-security-policy"]


def test_the_documents_name_nothing_of_this_machine() -> None:
    for document in (PROJECT / "src" / "hub" / "web" / "documents").glob("*.json"):
        assert str(Path.home()) not in document.read_text(encoding="utf-8")
