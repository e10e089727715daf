"""A first conversation in Python: register, create a companion, talk over the WebSocket."""

import json
import os
import sys

import httpx2
from websockets.sync.client import connect

hub = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"
name = f"grace_{os.getpid()}"

with httpx2.Client(base_url=hub) as api:
    account = {"username": name, "email": f"{name}@example.org", "password": "correct horse battery"}
    token = api.post("/api/auth/register", json=account).json()["access_token"]
    sign_in = {"Authorization": f"Bearer {token}"}
    api.headers.update(sign_in)
    about = {"name": "Mira", "description": "A calm botanist who loves moss."}
    companion = api.post("/api/companions", json=about).json()
    conversation = api.post("/api/conversations", json={"companion_id": companion["id"]}).json()

with connect(hub.replace("http", "ws", 1) + "/api/ws", additional_headers=sign_in) as socket:
    socket.send(json.dumps({"type": "conversation.subscribe", "conversation_id": conversation["id"]}))
    message = {"type": "message", "role": "user", "content": "Good morning! Who are you?"}
    create = {"type": "conversation.item.create", "event_id": "1", "conversation_id": conversation["id"]}
    socket.send(json.dumps({**create, "item": message}))
    for frame in map(json.loads, socket):
        if frame["type"] == "response.output_text.delta":
            print(frame["delta"], end="", flush=True)
        elif frame["type"] in ("response.completed", "response.failed"):
            print(f"\n[{frame['type']}]")
            break
