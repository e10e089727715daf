"""Routes of personal access tokens, and of the devices that one is signed in on."""

from __future__ import annotations

from uuid import UUID

from litestar import Controller, Response, delete, get, post
from litestar.params import FromPath, JSONBody

from hub.core.pages import Page
from hub.domain.accounts import personal_tokens, sign_ins
from hub.domain.accounts.schemas import CreatePersonalToken, NewPersonalToken, PersonalToken, SignInInfo
from hub.live.events import UserSignedOut
from hub.web.api.dependencies import Cursor, Limit, ProcessDependency
from hub.web.requests import HubRequest


class TokenController(Controller):
    """What stands for a user; asked for by the user, never by a token."""

    path = "/api/me"
    tags = ("Accounts",)

    @post("/tokens", operation_id="createToken", summary="Make a token for a program")
    async def create(
        self, request: HubRequest, data: JSONBody[CreatePersonalToken]
    ) -> Response[NewPersonalToken]:
        """Make a personal access token; the answer is the only place where it can be read."""
        token = await personal_tokens.create(data, user=request.user.user)
        return Response(token, status_code=201, headers={"Location": f"/api/me/tokens/{token.id}"})

    @get("/tokens", operation_id="listTokens", summary="List my tokens")
    async def page(
        self, request: HubRequest, limit: Limit = 50, cursor: Cursor = None
    ) -> Page[PersonalToken]:
        """Return one page of the caller's personal access tokens, the newest first."""
        return await personal_tokens.page(user_id=request.user.user.id, limit=limit, cursor=cursor)

    @get("/tokens/{token_id:uuid}", operation_id="getToken", summary="Get a token's description")
    async def show(self, request: HubRequest, token_id: FromPath[UUID]) -> PersonalToken:
        """Return what is known of one of the caller's tokens."""
        return await personal_tokens.get(token_id, user_id=request.user.user.id)

    @delete("/tokens/{token_id:uuid}", operation_id="deleteToken", summary="Delete a token")
    async def remove(self, request: HubRequest, token_id: FromPath[UUID], process: ProcessDependency) -> None:
        """Make a token worthless; its WebSockets and streams are closed."""
        await personal_tokens.delete(token_id, user_id=request.user.user.id)
        process.bus.publish(UserSignedOut(token_id))

    @get("/sign-ins", operation_id="listSignIns", summary="Where am I signed in?")
    async def sign_in_page(
        self, request: HubRequest, limit: Limit = 50, cursor: Cursor = None
    ) -> Page[SignInInfo]:
        """Return one page of the caller's sign-ins, the newest first."""
        return await sign_ins.page(request.user, limit=limit, cursor=cursor)

    @delete("/sign-ins/{sign_in_id:uuid}", operation_id="deleteSignIn", summary="Sign out elsewhere")
    async def end(self, request: HubRequest, sign_in_id: FromPath[UUID], process: ProcessDependency) -> None:
        """End one of the caller's sign-ins; its WebSockets and streams are closed."""
        await sign_ins.end(sign_in_id, user_id=request.user.user.id)
        process.bus.publish(UserSignedOut(sign_in_id))
