"""Companions as their owner meets them on a page: with what was said last, the last talked with first."""

from __future__ import annotations

from uuid import UUID

from hub.domain.companions import service as companions
from hub.domain.companions.schemas import Card
from tests.migration.conftest import engine_at
from tests.services.hub import Client, HubServer


async def test_cards_show_what_was_said_last_and_come_in_pages(
    hub: HubServer, client: Client, other: Client
) -> None:
    quiet = await client.companion(name="Élan the Quiet")
    greeting = "Welcome to the garden. " * 20
    greets = await client.companion(name="100% Mira", greeting=greeting)
    silent = await client.companion(name="Mirabelle")
    await other.conversation()
    first = await client.conversation(greets["id"])
    begun = await client.conversation(silent["id"])
    talk = await client.conversation(quiet["id"])
    sent = await client.send(talk["id"], "Good morning")
    await client.ended(sent["response"]["id"])
    reply = (await client.messages(talk["id"]))[-1]
    newest = await client.conversation(quiet["id"])  # nothing is said in it yet
    user_id = UUID(client.user["id"])
    async with engine_at(hub.settings["HUB_DATABASE_URL"]):
        page = await companions.cards(user_id=user_id)
        met, said, shown = zip(
            *((str(card.companion.id), card.last_words, card) for card in page.items), strict=True
        )
        assert (list(met), page.next_cursor) == ([quiet["id"], silent["id"], greets["id"]], None)
        assert said[0] is not None
        assert (said[0].role, said[0].content) == ("assistant", reply["content"][:160])
        assert said[1] is None
        assert said[2] is not None
        assert said[2].content == f"{greeting[:160].rstrip()}…"
        assert [card.conversations for card in shown] == [2, 1, 1]
        assert [str(card.conversation_id) for card in shown] == [newest["id"], begun["id"], first["id"]]
        seen: list[Card] = []
        cursor = None
        for _ in met:
            part = await companions.cards(user_id=user_id, limit=1, cursor=cursor)
            seen, cursor = [*seen, *part.items], part.next_cursor
        assert (seen, cursor) == (page.items, None)
        for name, found in {"éLAN": 1, "mira": 2, "0% ": 1, "%": 1, "_": 0, " ": 3, "a\0": 0}.items():
            assert len((await companions.cards(user_id=user_id, name=name)).items) == found, name
    made = await client.companion()  # who was never talked with stands where it was made
    assert (await client.http.delete(f"/api/companions/{quiet['id']}")).status_code == 204
    async with engine_at(hub.settings["HUB_DATABASE_URL"]):
        newcomer, *_ = (await companions.cards(user_id=user_id)).items
    assert str(newcomer.companion.id) == made["id"]
    assert (newcomer.last_words, newcomer.conversation_id, newcomer.conversations) == (None, None, 0)
