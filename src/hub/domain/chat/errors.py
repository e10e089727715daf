"""What can be wrong with a conversation, a message or a response."""

from hub.core.errors import HubError


class ConversationNotFoundError(HubError):
    """There is no such conversation, or it is somebody else's."""

    status = 404
    code = "conversation_not_found"
    title = "There is no such conversation"

    def __init__(self) -> None:
        super().__init__("It may have been deleted, or it belongs to somebody else.")


class ResponseNotFoundError(HubError):
    """There is no such response, or it is somebody else's."""

    status = 404
    code = "response_not_found"
    title = "There is no such response"

    def __init__(self) -> None:
        super().__init__("It may have been deleted, or it belongs to somebody else.")


class ResponseNotRetryableError(HubError):
    """Only a response that failed or was cancelled can be tried again."""

    status = 409
    code = "response_not_retryable"
    title = "This response cannot be tried again"

    def __init__(self) -> None:
        super().__init__("Only a response that failed or was cancelled can be tried again.")


class IdempotencyKeyReusedError(HubError):
    """The key was used before, for something else."""

    status = 422
    code = "idempotency_key_reused"
    title = "This idempotency key was used for another request"

    def __init__(self) -> None:
        super().__init__("Send a new message under a new key.")
