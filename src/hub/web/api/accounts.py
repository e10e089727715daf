"""Routes of accounts and sign-ins."""

from __future__ import annotations

from litestar import Controller, Response, get, patch, post
from litestar.params import JSONBody

from hub.domain.accounts.schemas import (
    ChangePassword,
    DeleteMe,
    LogIn,
    Register,
    SignIn,
    UpdateMe,
    User,
    WebSocketTicket,
)
from hub.live.events import UserSignedOut
from hub.web.api.dependencies import ClientsDependency, ProcessDependency
from hub.web.auth import EVERY_TOKEN
from hub.web.cookies import forgotten, session_cookie
from hub.web.etags import IfMatch, expected
from hub.web.origins import require_own_page
from hub.web.requests import HubRequest


class AccountController(Controller):
    """Registering, signing in and out, and one's own account."""

    path = "/api"
    tags = ("Accounts",)

    @post(
        "/auth/register",
        operation_id="register",
        summary="Create an account",
        opt={"exclude_from_auth": True},
    )
    async def register(
        self,
        request: HubRequest,
        data: JSONBody[Register],
        process: ProcessDependency,
        clients: ClientsDependency,
    ) -> Response[SignIn]:
        """Create an account and sign in, in a web page by `cookie` too."""
        if data.cookie:
            require_own_page(request, process.settings, or_no_page=True)
        sign_in = await process.accounts.register(data, address=clients.address_of(request.scope))
        cookies = [session_cookie(sign_in, request, process.settings)] if data.cookie else []
        return Response(sign_in, status_code=201, cookies=cookies)

    @post(
        "/auth/login",
        operation_id="logIn",
        summary="Sign in",
        status_code=200,
        opt={"exclude_from_auth": True},
    )
    async def log_in(
        self,
        request: HubRequest,
        data: JSONBody[LogIn],
        process: ProcessDependency,
        clients: ClientsDependency,
    ) -> Response[SignIn]:
        """Sign in with a username or an email address, in a web page by `cookie` too."""
        if data.cookie:
            require_own_page(request, process.settings, or_no_page=True)
        sign_in = await process.accounts.log_in(data, address=clients.address_of(request.scope))
        cookies = [session_cookie(sign_in, request, process.settings)] if data.cookie else []
        return Response(sign_in, cookies=cookies)

    @post("/auth/logout", operation_id="logOut", summary="Sign out", status_code=204)
    async def log_out(self, request: HubRequest, process: ProcessDependency) -> Response[None]:
        """End the sign-in whose token or cookie is sent; its WebSockets are closed."""
        await process.accounts.log_out(request.user)
        process.bus.publish(UserSignedOut(request.user.token_id))
        return Response(None, status_code=204, cookies=forgotten(request, process.settings))

    @get("/me", operation_id="getMe", summary="Who am I?", opt={"scopes": EVERY_TOKEN})
    async def me(self, request: HubRequest) -> User:
        """Return the caller's account."""
        return request.user.user

    @patch("/me", operation_id="updateMe", summary="Change my account", opt={"scopes": ("write",)})
    async def update_me(
        self,
        request: HubRequest,
        data: JSONBody[UpdateMe],
        process: ProcessDependency,
        if_match: IfMatch = None,
    ) -> User:
        """Change the caller's email address or display name."""
        return await process.accounts.update(request.user, data, expected=expected(if_match))

    @post("/me/password", operation_id="changePassword", summary="Change my password", status_code=204)
    async def change_password(
        self, request: HubRequest, data: JSONBody[ChangePassword], process: ProcessDependency
    ) -> None:
        """Set a new password; every other sign-in ends."""
        for token_id in await process.accounts.change_password(request.user, data):
            process.bus.publish(UserSignedOut(token_id))

    @post("/me/delete", operation_id="deleteMe", summary="Delete my account", status_code=204)
    async def delete_me(
        self, request: HubRequest, data: JSONBody[DeleteMe], process: ProcessDependency
    ) -> Response[None]:
        """Delete the account with its companions, conversations and pictures; this cannot be undone."""
        await process.accounts.check_password(request.user, data.current_password)
        for token_id in await process.clearing.delete_account(request.user.user.id):
            process.bus.publish(UserSignedOut(token_id))
        return Response(None, status_code=204, cookies=forgotten(request, process.settings))

    @post(
        "/ws-tickets",
        operation_id="createWebSocketTicket",
        summary="Get a pass for one WebSocket",
        opt={"scopes": ("read", "chat")},
    )
    async def create_ticket(self, request: HubRequest, process: ProcessDependency) -> WebSocketTicket:
        """Return a ticket for `/api/ws?ticket=`, good once and for 30 seconds."""
        return await process.accounts.issue_ticket(request.user)
