"""What is limited, how often it may be done, and how that is said."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from msgspec import Struct

from hub.core.settings import Settings


class Action(StrEnum):
    """What is counted. A call that takes several takes them in the order in which they stand here."""

    LOGIN = "login"
    REGISTER = "register"
    IMAGES = "images"
    CHAT = "chat"
    CREATE = "create"
    EDIT = "edit"
    DELETE = "delete"
    WIPE = "wipe"
    WEBHOOKS = "webhooks"


class Rule(Struct, frozen=True, kw_only=True):
    """``limit`` times in each ``window``, which begins with the first of them; ``words`` say so."""

    limit: int
    window: timedelta
    words: str

    @property
    def seconds(self) -> int:
        """The window in seconds."""
        return int(self.window.total_seconds())


# By far enough for people who try a webhook, and too few to flood with a server that is somebody else's.
_SENT_ON_DEMAND = 60
_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def rules_of(settings: Settings) -> dict[Action, Rule]:
    """Return the rules that the settings make, one for each action."""
    logins, registrations = settings.logins_per_15_minutes, settings.registrations_per_day
    messages, images = settings.messages_per_minute, settings.images_per_hour
    made, edits = settings.companions_per_hour, settings.edits_per_hour

    def rule(limit: int, window: timedelta, words: str) -> Rule:
        return Rule(limit=limit, window=window, words=words)

    return {
        Action.LOGIN: rule(
            logins, timedelta(minutes=15), f"A password may be wrong {logins} times in 15 minutes."
        ),
        Action.REGISTER: rule(
            registrations, _DAY, f"{registrations} accounts may be created from one address in a day."
        ),
        Action.IMAGES: rule(images, _HOUR, f"You may ask for {images} pictures in an hour."),
        Action.CHAT: rule(messages, _MINUTE, f"You may ask for {messages} replies in a minute."),
        Action.CREATE: rule(made, _HOUR, f"You may create {made} companions in an hour."),
        Action.EDIT: rule(
            edits, _HOUR, f"You may change companions and your account {edits} times in an hour."
        ),
        Action.DELETE: rule(edits, _HOUR, f"You may delete {edits} companions in an hour."),
        Action.WIPE: rule(edits, _HOUR, f"You may wipe companions {edits} times in an hour."),
        Action.WEBHOOKS: rule(
            _SENT_ON_DEMAND,
            _HOUR,
            f"You may have {_SENT_ON_DEMAND} events sent again, or for a test, in an hour.",
        ),
    }
