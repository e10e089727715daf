"""How often something may be done, counted for all processes together."""

from __future__ import annotations

import math
from datetime import timedelta
from uuid import UUID

from hub.core.settings import Settings
from hub.domain.limits import queries
from hub.domain.limits.errors import TooManyRequestsError

_IMAGES = "images"
_IMAGES_WINDOW = timedelta(hours=1)


class Limits:
    """The limits that the settings name; none where they are off."""

    def __init__(self, settings: Settings) -> None:
        self._on = settings.limits
        self._images = settings.images_per_hour

    async def take_image(self, user_id: UUID) -> None:
        """Count a picture that a user asks for, in whichever way, in the caller's transaction.

        Raises:
            TooManyRequestsError: there were too many in this hour.
        """
        if not self._on:
            return
        if await queries.take(_IMAGES, str(user_id), limit=self._images, window=_IMAGES_WINDOW):
            return
        left = await queries.seconds_left(_IMAGES, str(user_id))
        seconds = max(math.ceil(_IMAGES_WINDOW.total_seconds() if left is None else left), 1)
        minutes = math.ceil(seconds / 60)
        raise TooManyRequestsError(
            f"You may ask for {self._images} pictures in an hour. Try again in {minutes} min.",
            retry_after=seconds,
        )
