"""Every HTTP route of the public contract, with what a valid call looks like.

Tests that go through all routes read this table; `test_openapi` fails when the server has a route that is
not in it, so that none goes unchecked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.services.hub import PASSWORD, Client
from tests.services.pictures import flat_png

Body = dict[str, Any]

PICTURE = flat_png(64, 48)
NOWHERE = "018f0000-0000-7000-8000-000000000000"
TALK = b"""{"character_name": "Mira", "user_name": "Ida"}
{"mes": "What grows here?", "is_user": true, "send_date": "2026-01-02T03:04:05Z"}
"""
#: Where a webhook may lead in tests, and nobody listens.
NOBODY_THERE = "http://localhost:9/hooks"


@dataclass(frozen=True)
class Route:
    """One operation.

    ``query`` goes with every call; ``upload``: the body is a picture; ``talk``: it is a conversation's file;
    ``optional``: a body may be left out; ``public``: needs no token; ``admin``: only for administrators.
    """

    operation: str
    method: str
    path: str
    body: Body | None = None
    query: str = ""
    upload: bool = False
    talk: bool = False
    optional: bool = False
    public: bool = False
    admin: bool = False

    @property
    def names_something(self) -> bool:
        """Whether the path holds an id."""
        return "{" in self.path


ROUTES = (
    Route(
        "register",
        "POST",
        "/api/auth/register",
        {
            "username": "never_stored",
            "email": "never_stored@example.org",
            "password": PASSWORD,
            "display_name": "Never Stored",
            "cookie": False,
            "invite": "chub_invite_that_is_none",
        },
        public=True,
    ),
    Route(
        "logIn",
        "POST",
        "/api/auth/login",
        {"login": "never_stored", "password": PASSWORD, "cookie": False},
        public=True,
    ),
    Route("logOut", "POST", "/api/auth/logout"),
    Route("getMe", "GET", "/api/me"),
    Route("updateMe", "PATCH", "/api/me", {"email": "me@example.org", "display_name": "Me"}),
    Route(
        "changePassword",
        "POST",
        "/api/me/password",
        {"current_password": PASSWORD, "new_password": "another good one"},
    ),
    Route("deleteMe", "POST", "/api/me/delete", {"current_password": PASSWORD}),
    Route(
        "createToken",
        "POST",
        "/api/me/tokens",
        {"name": "My program", "scopes": ["read", "chat"], "expires_at": "2100-01-01T00:00:00Z"},
    ),
    Route("listTokens", "GET", "/api/me/tokens"),
    Route("getToken", "GET", "/api/me/tokens/{token_id}"),
    Route("deleteToken", "DELETE", "/api/me/tokens/{token_id}"),
    Route("listSignIns", "GET", "/api/me/sign-ins"),
    Route("deleteSignIn", "DELETE", "/api/me/sign-ins/{sign_in_id}"),
    Route("listUsers", "GET", "/api/admin/users", admin=True),
    Route("getUser", "GET", "/api/admin/users/{user_id}", admin=True),
    Route(
        "updateUser", "PATCH", "/api/admin/users/{user_id}", {"role": "user", "disabled": False}, admin=True
    ),
    Route(
        "createInvite",
        "POST",
        "/api/admin/invites",
        {"note": "For Ida", "expires_at": "2100-01-01T00:00:00Z"},
        admin=True,
    ),
    Route("listInvites", "GET", "/api/admin/invites", admin=True),
    Route("deleteInvite", "DELETE", "/api/admin/invites/{invite_id}", admin=True),
    Route("getJobsOverview", "GET", "/api/admin/jobs", admin=True),
    Route("createWebSocketTicket", "POST", "/api/ws-tickets"),
    Route("listCompanions", "GET", "/api/companions"),
    Route(
        "createCompanion",
        "POST",
        "/api/companions",
        {
            "name": "Mira",
            "description": "A calm botanist who loves moss.",
            "appearance": "green eyes",
            "user_appearance": "a grey coat",
            "default_outfit": "an apron",
            "greeting": "Hello!",
        },
    ),
    Route("addSamples", "POST", "/api/companions/samples", {"language": "de"}, optional=True),
    Route("deleteSamples", "DELETE", "/api/companions/samples"),
    Route("getCompanion", "GET", "/api/companions/{companion_id}"),
    Route(
        "updateCompanion",
        "PATCH",
        "/api/companions/{companion_id}",
        {
            "name": "Mira",
            "description": "A calm botanist who loves moss.",
            "appearance": "green eyes",
            "user_appearance": "a grey coat",
            "default_outfit": "an apron",
            "greeting": "Hello!",
            "scene": {"outfit": "a coat", "location": "a garden", "action": "digging", "expression": "joy"},
        },
    ),
    Route("deleteCompanion", "DELETE", "/api/companions/{companion_id}"),
    Route("wipeCompanion", "POST", "/api/companions/{companion_id}/wipe"),
    Route(
        "createImage",
        "POST",
        "/api/companions/{companion_id}/images",
        {"prompt": "moss", "negative_prompt": "rain", "seed": 7, "width": 64, "height": 96},
        optional=True,
    ),
    Route("setHeaderImage", "PUT", "/api/companions/{companion_id}/header-image", upload=True),
    Route("deleteHeaderImage", "DELETE", "/api/companions/{companion_id}/header-image"),
    Route("listImages", "GET", "/api/companions/{companion_id}/images"),
    Route("getImage", "GET", "/api/images/{image_id}"),
    Route("getSignedImage", "GET", "/api/images/{image_id}/signed", public=True),
    Route("createImageLink", "POST", "/api/images/{image_id}/links"),
    Route("repeatImage", "POST", "/api/images/{image_id}/again", {"seed": 8}, optional=True),
    Route("getJob", "GET", "/api/jobs/{job_id}"),
    Route("cancelJob", "POST", "/api/jobs/{job_id}/cancel"),
    Route("deleteImage", "DELETE", "/api/images/{image_id}"),
    Route("listConversations", "GET", "/api/conversations"),
    Route(
        "createConversation",
        "POST",
        "/api/conversations",
        {"companion_id": "{companion_id}", "title": "About moss"},
    ),
    Route("getConversation", "GET", "/api/conversations/{conversation_id}"),
    Route("updateConversation", "PATCH", "/api/conversations/{conversation_id}", {"title": "About ferns"}),
    Route("deleteConversation", "DELETE", "/api/conversations/{conversation_id}"),
    Route("listMessages", "GET", "/api/conversations/{conversation_id}/messages"),
    Route(
        "sendMessage",
        "POST",
        "/api/conversations/{conversation_id}/messages",
        {"content": "Hello", "generate_image": False},
    ),
    Route("exportConversation", "GET", "/api/conversations/{conversation_id}/export"),
    Route(
        "importConversation",
        "POST",
        "/api/conversations/import",
        query="?companion_id={companion_id}",
        talk=True,
    ),
    Route("searchMessages", "GET", "/api/search", query="?q=grows"),
    Route(
        "createResponse",
        "POST",
        "/api/conversations/{conversation_id}/responses",
        {"kind": "regenerate", "generate_image": False},
    ),
    Route("getMessage", "GET", "/api/messages/{message_id}"),
    Route("updateMessage", "PATCH", "/api/messages/{message_id}", {"content": "Moss, mostly."}),
    Route("deleteMessage", "DELETE", "/api/messages/{message_id}"),
    Route("listAlternatives", "GET", "/api/messages/{message_id}/alternatives"),
    Route("chooseAlternative", "POST", "/api/messages/{message_id}/alternatives/{number}/choose"),
    Route("getResponse", "GET", "/api/responses/{response_id}"),
    Route("cancelResponse", "POST", "/api/responses/{response_id}/cancel"),
    Route("retryResponse", "POST", "/api/responses/{response_id}/retry"),
    Route("streamResponse", "GET", "/api/responses/{response_id}/events"),
    Route(
        "createWebhook",
        "POST",
        "/api/webhooks",
        {"url": NOBODY_THERE, "events": ["response.completed", "image.completed"], "description": "My own"},
    ),
    Route("listWebhooks", "GET", "/api/webhooks"),
    Route("getWebhook", "GET", "/api/webhooks/{webhook_id}"),
    Route(
        "updateWebhook",
        "PATCH",
        "/api/webhooks/{webhook_id}",
        {"url": NOBODY_THERE, "events": ["response.failed"], "description": "", "disabled": False},
    ),
    Route("deleteWebhook", "DELETE", "/api/webhooks/{webhook_id}"),
    Route("rotateWebhookSecret", "POST", "/api/webhooks/{webhook_id}/rotate-secret"),
    Route("testWebhook", "POST", "/api/webhooks/{webhook_id}/test"),
    Route("listWebhookDeliveries", "GET", "/api/webhooks/{webhook_id}/deliveries"),
    Route("getWebhookDelivery", "GET", "/api/webhooks/{webhook_id}/deliveries/{delivery_id}"),
    Route("retryWebhookDelivery", "POST", "/api/webhooks/{webhook_id}/deliveries/{delivery_id}/retry"),
    Route("getStorageStats", "GET", "/api/stats/storage", admin=True),
    Route("listStorageStats", "GET", "/api/stats/storage/companions", admin=True),
    Route("getHealth", "GET", "/api/health", public=True),
    Route("getLive", "GET", "/api/health/live", public=True),
    Route("getReady", "GET", "/api/health/ready", public=True),
)


class Home:
    """One user's companion with pictures, and conversation with a finished reply; their ids by name."""

    def __init__(self, owner: Client, ids: dict[str, str]) -> None:
        self.owner = owner
        self.ids = ids

    @classmethod
    async def of(cls, owner: Client) -> Home:
        """Let the user make one of each."""
        companion = await owner.companion()
        await owner.set_header_image(companion["id"], PICTURE)
        conversation = await owner.conversation(companion["id"])
        sent = await owner.send(conversation["id"], "What grows here?")
        message_id = (await owner.ended(sent["response"]["id"]))["message_id"]
        job = await owner.paint(companion["id"], width=64, height=64)
        token = await owner.make_token("read")
        (sign_in,) = (await owner.http.get("/api/me/sign-ins")).json()["items"]
        webhook = await owner.webhook(NOBODY_THERE)
        tested = await owner.http.post(f"/api/webhooks/{webhook['id']}/test")
        await owner.http.patch(f"/api/webhooks/{webhook['id']}", json={"disabled": True})  # and be at rest
        return cls(
            owner,
            {
                "companion_id": companion["id"],
                "image_id": job["result"]["id"],
                "job_id": job["id"],
                "conversation_id": conversation["id"],
                "response_id": sent["response"]["id"],
                "token_id": token["id"],
                "sign_in_id": sign_in["id"],
                "user_id": owner.user["id"],
                "invite_id": NOWHERE,  # only an administrator makes one
                "webhook_id": webhook["id"],
                "delivery_id": tested.json()["id"],
                "message_id": message_id,
            },
        )

    def path(self, route: Route, **ids: str) -> str:
        """Return the route's path with this home's ids in it, or with others."""
        return (route.path + route.query).format(**{"number": "1", **self.ids, **ids})

    def body(self, route: Route, **ids: str) -> Body | None:
        """Return a valid body, with this home's ids in it, or with others."""
        if route.body is None:
            return None
        return {
            name: value.format(**{**self.ids, **ids}) if isinstance(value, str) else value
            for name, value in route.body.items()
        }

    def sent(self, route: Route, **ids: str) -> dict[str, Any]:
        """Return what goes with a valid call: its JSON, or the file."""
        if route.upload:
            return {"content": PICTURE, "headers": {"Content-Type": "image/png"}}
        if route.talk:
            return {"content": TALK, "headers": {"Content-Type": "application/x-ndjson"}}
        return {"json": self.body(route, **ids)}

    async def everything(self) -> dict[str, Any]:
        """Return all that the owner can see, to be compared with what it was before."""
        paths = ["/api/me", "/api/me/tokens", "/api/companions?limit=200", "/api/conversations?limit=200"]
        paths.append(f"/api/conversations/{self.ids['conversation_id']}/messages?limit=1000")
        paths.append(f"/api/responses/{self.ids['response_id']}")
        paths.append(f"/api/companions/{self.ids['companion_id']}/images")
        paths.append("/api/webhooks")
        answers = [await self.owner.http.get(path) for path in paths]
        return {path: answer.json() for path, answer in zip(paths, answers, strict=True)}
