"""What can be wrong with how often something is done."""

from hub.core.errors import HubError


class TooManyRequestsError(HubError):
    """It was done too often lately; ``retry_after`` is in seconds."""

    status = 429
    code = "too_many_requests"
    title = "Too many requests"

    def __init__(self, detail: str, *, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class CannotCountError(HubError):
    """Nobody can tell how often it was done, so it is not done."""

    status = 503
    code = "limits_not_ready"
    title = "The server cannot count requests at the moment"
    retry_after = 5
