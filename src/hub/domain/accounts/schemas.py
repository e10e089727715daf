"""What accounts look like from outside."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from hub.core.text import NO_NUL, NOT_BLANK

Username = Annotated[str, Meta(min_length=3, max_length=20, pattern=r"^[a-z0-9_]+\Z")]
Email = Annotated[str, Meta(min_length=3, max_length=254, pattern=r"^[^@\s\x00]+@[^@\s\x00]+\Z")]
Password = Annotated[str, Meta(min_length=8, max_length=128, pattern=NO_NUL)]
GivenPassword = Annotated[str, Meta(max_length=1024)]
DisplayName = Annotated[str, Meta(min_length=1, max_length=100, pattern=NOT_BLANK)]


class User(Struct, frozen=True, kw_only=True):
    """A person with an account."""

    id: UUID
    username: str
    email: str
    display_name: str
    role: Literal["user", "admin"]
    created_at: datetime


class SignIn(Struct, frozen=True, kw_only=True):
    """A fresh sign-in; the token is shown this once."""

    user: User
    access_token: str
    expires_at: datetime


class Identity(Struct, frozen=True, kw_only=True):
    """Who is asking, and by which token, which is good until ``expires_at``.

    ``scopes`` is what a personal access token may do; None for a sign-in, which may do everything.
    """

    user: User
    token_id: UUID
    expires_at: datetime
    scopes: frozenset[str] | None = None

    def may(self, *scopes: str) -> bool:
        """Tell whether the token is good for one of these."""
        return self.scopes is None or not self.scopes.isdisjoint(scopes)


class WebSocketTicket(Struct, frozen=True, kw_only=True):
    """A pass for one WebSocket, good for 30 seconds."""

    ticket: str
    expires_at: datetime


class Register(Struct, kw_only=True, forbid_unknown_fields=True):
    """Ask for an account; ``cookie`` has a browser keep the sign-in."""

    username: Username
    email: Email
    password: Password
    display_name: DisplayName | None = None
    cookie: bool = False


class LogIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """Sign in with a username or an email address; ``cookie`` has a browser keep the sign-in."""

    login: Annotated[str, Meta(min_length=1, max_length=254, pattern=NO_NUL)]
    password: GivenPassword
    cookie: bool = False


class UpdateMe(Struct, kw_only=True, forbid_unknown_fields=True):
    """Change one's own account; what is left out stays."""

    email: Email | UnsetType = UNSET
    display_name: DisplayName | UnsetType = UNSET


class DeleteMe(Struct, kw_only=True, forbid_unknown_fields=True):
    """Delete the account with all that belongs to it."""

    current_password: GivenPassword


class ChangePassword(Struct, kw_only=True, forbid_unknown_fields=True):
    """Set a new password; every other sign-in ends."""

    current_password: GivenPassword
    new_password: Password
