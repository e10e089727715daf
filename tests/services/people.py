"""People with a part to play, made by hand where no route makes them."""

from __future__ import annotations

from uuid import UUID

from tests.services.hub import Client, HubServer
from tests.services.world import query


async def promote(hub: HubServer, user: Client) -> Client:
    """Make a user an administrator, as the operator would."""
    await query(
        hub.settings["HUB_DATABASE_URL"],
        "UPDATE users SET role = 'admin' WHERE id = $1",
        UUID(user.user["id"]),
    )
    user.user["role"] = "admin"
    return user
