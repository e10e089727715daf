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


class MessageNotFoundError(HubError):
    """There is no such message, or it is somebody else's."""

    status = 404
    code = "message_not_found"
    title = "There is no such message"

    def __init__(self) -> None:
        super().__init__("It may have been deleted, or it belongs to somebody else.")


class AlternativeNotFoundError(HubError):
    """The message has no alternative of this number."""

    status = 404
    code = "alternative_not_found"
    title = "There is no such alternative"

    def __init__(self) -> None:
        super().__init__("The message's alternatives tell which numbers there are.")


class ResponseOutdatedError(HubError):
    """What the response was to change is not the end of its talk any more."""

    status = 409
    code = "response_outdated"
    title = "The talk has gone on"

    def __init__(self) -> None:
        super().__init__("More was said since then. Only the last message is written anew or continued.")


class ResponseUnderWayError(HubError):
    """The conversation waits for a response already."""

    status = 409
    code = "response_under_way"
    title = "A response is under way"

    def __init__(self) -> None:
        super().__init__("Wait until it has ended, or cancel it, and ask again.")


class NothingToAnswerError(HubError):
    """No message of the user waits for a reply."""

    status = 409
    code = "nothing_to_answer"
    title = "There is nothing to answer"

    def __init__(self) -> None:
        super().__init__("The last message has its reply. Say something, or ask for the reply anew.")


class NothingToRegenerateError(HubError):
    """The talk does not end with an answer of the companion."""

    status = 409
    code = "nothing_to_regenerate"
    title = "There is nothing to say differently"

    def __init__(self) -> None:
        super().__init__("The talk has to end with the companion's answer to a message. Say something first.")


class NothingToContinueError(HubError):
    """The talk does not end with a message of the companion."""

    status = 409
    code = "nothing_to_continue"
    title = "There is nothing to continue"

    def __init__(self) -> None:
        super().__init__("The talk has to end with a message of the companion. Say something first.")
