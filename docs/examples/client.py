"""A client in Python: sign in, create a companion, talk by events and by socket, get the picture.

python docs/examples/client.py [http://127.0.0.1:8000] [USERNAME PASSWORD]
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
from websockets.sync.client import connect

Frame = dict[str, Any]

given = dict(enumerate(sys.argv))
HUB = given.get(1, "http://127.0.0.1:8000")
USERNAME, PASSWORD = given.get(2), given.get(3, "three green umbrellas")
ENDS = ("response.completed", "response.failed", "response.cancelled")


def call(api: httpx2.Client, method: str, path: str, **options: Any) -> Any:
    """Return the JSON of an answer; a refusal is a problem document that says what to do."""
    answer = api.request(method, path, **options)
    if answer.is_error:
        problem = answer.json()
        sys.exit(f"{problem['title']}: {problem['detail']} (request {problem['request_id']})")
    return answer.json()


def sign_in(api: httpx2.Client) -> str:
    """Return an access token, of a new account unless a name was given."""
    if USERNAME:
        body = {"login": USERNAME, "password": PASSWORD}
        return str(call(api, "POST", "/api/auth/login", json=body)["access_token"])
    name = f"robin_{os.getpid()}"
    body = {"username": name, "email": f"{name}@example.org", "password": PASSWORD}
    return str(call(api, "POST", "/api/auth/register", json=body)["access_token"])


def events(api: httpx2.Client, response_id: str) -> Iterator[Frame]:
    """Yield a response's events; after a lost connection they go on behind the last delta."""
    last_id, path = "0", f"/api/responses/{response_id}/events"
    while True:
        try:
            with api.stream("GET", path, headers={"Last-Event-ID": last_id}) as answer:
                for line in answer.iter_lines():
                    if line.startswith("id: "):
                        last_id = line[4:]
                    elif line.startswith("data: "):
                        frame = json.loads(line[6:])
                        yield frame
                        if frame["type"] in ENDS:
                            return
        except httpx2.TransportError:
            print("\n(the connection was lost: again)")


def talk(frames: Iterator[Frame], *, until: tuple[str, ...] = ENDS) -> Frame:
    """Print a reply as it comes and return the frame that ends it."""
    for frame in frames:
        if frame["type"] == "response.in_progress":  # an attempt begins: what it has said so far
            print("\r" + frame["response"]["output_text"], end="", flush=True)
        elif frame["type"] == "response.output_text.delta":
            print(frame["delta"], end="", flush=True)
        elif frame["type"] in until:
            print(f"\n[{frame['type']}]")
            return frame
    raise EOFError


def main() -> None:
    """Talk twice, once in each way."""
    with httpx2.Client(base_url=HUB, timeout=60) as api:
        token = sign_in(api)
        api.headers["Authorization"] = f"Bearer {token}"
        mira = {
            "name": "Mira",
            "description": "A calm botanist who loves moss.",
            "appearance": "green eyes, short grey hair",
        }
        companion = call(api, "POST", "/api/companions", json=mira)
        conversation = call(api, "POST", "/api/conversations", json={"companion_id": companion["id"]})["id"]

        # By HTTP and Server-Sent Events. The key makes it safe to send this again when the answer was lost.
        path = f"/api/conversations/{conversation}/messages"
        key = {"Idempotency-Key": f"first-{conversation}"}
        sent = call(api, "POST", path, json={"content": "Good morning! What grows here?"}, headers=key)
        talk(events(api, sent["response"]["id"]))

        # By WebSocket, with a picture of the moment.
        socket_url = HUB.replace("http", "ws", 1) + "/api/ws"
        with connect(socket_url, additional_headers={"Authorization": f"Bearer {token}"}) as socket:
            position = sent["message"]["position"] + 1  # what we have; only what comes behind it is told
            subscribe = {"type": "conversation.subscribe", "conversation_id": conversation, "after": position}
            socket.send(json.dumps(subscribe))
            say = {
                "type": "conversation.item.create",
                "event_id": "second",
                "conversation_id": conversation,
                "item": {"type": "message", "role": "user", "content": "Show me!"},
                "response": {"generate_image": True},
            }
            socket.send(json.dumps(say))
            frames = map(json.loads, socket)
            talk(frames)
            image = talk(frames, until=("response.image_generation_call.completed",))["image"]

        picture = api.get(image["url"], headers={"Accept": "image/jpeg"}).raise_for_status().content
        Path("mira.jpg").write_bytes(picture)
        print(f"picture: {image['width']} x {image['height']}, {len(picture)} bytes in mira.jpg")


main()
