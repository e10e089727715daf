"""What accounts look like from outside."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, get_args
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from hub.core.text import NO_NUL, NOT_BLANK

Username = Annotated[str, Meta(min_length=3, max_length=20, pattern=r"^[a-z0-9_]+\Z")]
Email = Annotated[str, Meta(min_length=3, max_length=254, pattern=r"^[^@\s\x00]+@[^@\s\x00]+\Z")]
Password = Annotated[str, Meta(min_length=8, max_length=128, pattern=NO_NUL)]
GivenPassword = Annotated[str, Meta(max_length=1024)]
DisplayName = Annotated[str, Meta(min_length=1, max_length=100, pattern=NOT_BLANK)]
Role = Literal["user", "admin"]
Scope = Literal["read", "chat", "write", "admin"]
Label = Annotated[str, Meta(min_length=1, max_length=100, pattern=NOT_BLANK)]
Moment = Annotated[datetime, Meta(tz=True)]

#: All scopes, in the order in which they are told.
SCOPES: tuple[Scope, ...] = get_args(Scope)


class User(Struct, frozen=True, kw_only=True):
    """A person with an account."""

    id: UUID
    username: str
    email: str
    display_name: str
    role: Role
    created_at: datetime


class SignIn(Struct, frozen=True, kw_only=True):
    """A fresh sign-in; the token is shown this once."""

    user: User
    access_token: str
    expires_at: datetime


class Identity(Struct, frozen=True, kw_only=True):
    """Who is asking, and by which token, which is good until ``expires_at``, or for ever (None).

    ``scopes`` is what a personal access token may do; None for a sign-in, which may do everything.
    """

    user: User
    token_id: UUID
    expires_at: datetime | None
    scopes: frozenset[str] | None = None

    def may(self, *scopes: str) -> bool:
        """Tell whether the token is good for one of these."""
        return self.scopes is None or not self.scopes.isdisjoint(scopes)


class WebSocketTicket(Struct, frozen=True, kw_only=True):
    """A pass for one WebSocket, good for 30 seconds."""

    ticket: str
    expires_at: datetime


class Register(Struct, kw_only=True, forbid_unknown_fields=True):
    """Ask for an account.

    ``invite`` is the code that some servers want; ``cookie`` has a browser keep the sign-in.
    """

    username: Username
    email: Email
    password: Password
    display_name: DisplayName | None = None
    cookie: bool = False
    invite: Annotated[str, Meta(max_length=200)] | None = None


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


class PersonalToken(Struct, frozen=True, kw_only=True):
    """A token for a program; ``hint`` is how it ends, by which one tells it from others."""

    id: UUID
    name: str
    scopes: list[Scope]
    hint: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class NewPersonalToken(PersonalToken, frozen=True, kw_only=True):
    """A fresh token; the token itself is shown this once."""

    token: str


class CreatePersonalToken(Struct, kw_only=True, forbid_unknown_fields=True):
    """Ask for a token for a program.

    Without any scope it may do nothing but tell whose it is; without ``expires_at`` it is good until it is
    deleted.
    """

    name: Label
    scopes: Annotated[list[Scope], Meta(max_length=100)]
    expires_at: Moment | None = None


class SignInInfo(Struct, frozen=True, kw_only=True):
    """One of the devices that somebody is signed in on; ``current`` is the one that asks."""

    id: UUID
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    current: bool


class Invite(Struct, frozen=True, kw_only=True):
    """A pass for one registration, which nobody has used yet; ``hint`` is how its code ends."""

    id: UUID
    note: str
    hint: str
    created_by: UUID
    created_at: datetime
    expires_at: datetime


class NewInvite(Invite, frozen=True, kw_only=True):
    """A fresh invite; its code is shown this once."""

    code: str


class CreateInvite(Struct, kw_only=True, forbid_unknown_fields=True):
    """Ask for an invite; without ``expires_at`` it is good for seven days."""

    note: Annotated[str, Meta(max_length=100, pattern=NO_NUL)] = ""
    expires_at: Moment | None = None


class AdminUser(Struct, frozen=True, kw_only=True):
    """An account as administrators see it: nothing of what its user does.

    ``last_seen_at`` is when one of the user's tokens was used last, to the minute.
    """

    id: UUID
    username: str
    email: str
    display_name: str
    role: Role
    disabled_at: datetime | None
    created_at: datetime
    last_seen_at: datetime | None


class UpdateUser(Struct, kw_only=True, forbid_unknown_fields=True):
    """Change somebody's account; what is left out stays."""

    disabled: bool | UnsetType = UNSET
    role: Role | UnsetType = UNSET
