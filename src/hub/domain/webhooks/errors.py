"""What can be wrong with webhooks."""

from hub.core.errors import HubError


class WebhookNotFoundError(HubError):
    """There is no such webhook, or it is somebody else's."""

    status = 404
    code = "webhook_not_found"
    title = "There is no such webhook"


class DeliveryNotFoundError(HubError):
    """The webhook has no such delivery, or it has been forgotten."""

    status = 404
    code = "delivery_not_found"
    title = "There is no such delivery"


class TooManyWebhooksError(HubError):
    """The user has as many as one may have."""

    status = 409
    code = "too_many_webhooks"
    title = "You have as many webhooks as one may have"


class WebhookDisabledError(HubError):
    """Nothing is sent to a webhook that is disabled."""

    status = 409
    code = "webhook_disabled"
    title = "This webhook is disabled"
