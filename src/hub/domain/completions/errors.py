"""What can be wrong with asking for a completion."""

from hub.core.errors import HubError


class ModelNotFoundError(HubError):
    """There is no such companion, or it is somebody else's."""

    status = 404
    code = "model_not_found"
    title = "There is no such model"

    def __init__(self) -> None:
        super().__init__("The model does not exist or is not yours. GET /v1/models lists those you have.")


class CompletionNotFoundError(HubError):
    """There is no such response, or it is somebody else's, or it was not stored."""

    status = 404
    code = "response_not_found"
    title = "There is no such response"

    def __init__(self) -> None:
        super().__init__("The response does not exist, is not yours, was not stored or has been forgotten.")


class PreviousNotFoundError(HubError):
    """What a response is to go on with is not there."""

    status = 404
    code = "previous_response_not_found"
    title = "There is no such previous response"

    def __init__(self) -> None:
        super().__init__(
            "The previous response does not exist, is not yours, was not stored or has been forgotten."
            " Send the whole talk as input instead."
        )


class PreviousNotCompleteError(HubError):
    """What a response is to go on with has no text to go on with."""

    status = 400
    code = "previous_response_not_complete"
    title = "The previous response is not complete"

    def __init__(self) -> None:
        super().__init__(
            "The previous response is still being written, or failed. Wait for it, or name another."
        )
