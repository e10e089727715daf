"""What can go wrong with carrying jobs."""

from hub.core.errors import HubError


class BrokerUnavailableError(HubError):
    """The message broker did not take a message in time; the job is safe and will be published again."""

    status = 503
    code = "broker_unavailable"
    title = "The message broker is unavailable"
