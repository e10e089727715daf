"""What can be wrong with asking for a picture."""

from hub.core.errors import HubError


class JobNotFoundError(HubError):
    """There is no such job, or it is somebody else's."""

    status = 404
    code = "job_not_found"
    title = "There is no such job"

    def __init__(self) -> None:
        super().__init__("It may have been forgotten, or it belongs to somebody else.")


class NoRecipeError(HubError):
    """A picture that was not painted here cannot be painted again."""

    status = 409
    code = "no_recipe"
    title = "This picture has no recipe"

    def __init__(self) -> None:
        super().__init__("Only a picture that was painted here can be painted again.")
