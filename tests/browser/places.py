"""Where the page has anything to show: addresses of every kind of page, of somebody who has a bit of all."""

from __future__ import annotations

from tests.fakes.llm import FakeLLM
from tests.fakes.llm_script import reply
from tests.services.hub import Client

LOST = "00000000-0000-7000-8000-000000000000"

#: Pages that everybody sees, with their status.
PUBLIC = {
    "/login": 200,
    "/register": 200,
    "/setup?token=x": 200,
    "/nowhere": 404,
    "/problems": 200,
    "/problems/not-signed-in": 200,
}

#: A reply with everything that Markdown has.
RICH_REPLY = """# Moss
It is **soft**, *green* and ~~dry~~ `wet`.

- [x] look at it
- [ ] name it

1. first
2. second

> Mosses are patient.

| kind | height |
|------|-------:|
| star | 3 cm   |

```python
print("moss")
```

---
See <https://example.org/moss> or [this page](https://example.org)."""


async def settle(client: Client, llm: FakeLLM) -> dict[str, int]:
    """Give an administrator some of everything, and return the addresses of their pages with their status."""
    companion = await client.companion(name="Mira")
    conversation = await client.conversation(companion["id"])
    llm.script(reply(RICH_REPLY))
    sent = await client.send(conversation["id"], "What is **moss**?")
    await client.ended(sent["response"]["id"])
    image = (await client.paint(companion["id"], prompt="a mossy stone"))["result"]
    token = await client.make_token("read", "chat")
    webhook = await client.webhook("http://localhost:9/events")
    invited = await client.http.post("/api/admin/invites", json={"note": "Ida"})
    assert invited.status_code == 201
    user = client.user["id"]
    ways = {
        "companions": ["", "/new", f"/{companion['id']}/edit"],
        "companions/" + companion["id"]: ["/gallery", "/wipe", "/delete"],
        "conversations/" + conversation["id"]: ["", "/delete"],
        "images/" + image["id"]: ["", "/delete"],
        "search": ["?q=moss", "?q=zebra"],
        "settings": ["", "/tokens", "/devices", "/webhooks", "/delete"],
        "settings/tokens/" + token["id"]: ["/delete"],
        "settings/webhooks/" + webhook["id"]: ["/delete"],
        "admin": ["", "/users", "/invites", "/jobs", "/storage"],
        "admin/users/" + user: ["/disable"],
    }
    found = {f"/{root}{rest}": 200 for root, rests in ways.items() for rest in rests}
    return {**found, f"/conversations/{LOST}": 404}
