"""What can be wrong with a companion."""

from hub.core.errors import HubError


class CompanionNotFoundError(HubError):
    """There is no such companion, or it is somebody else's."""

    status = 404
    code = "companion_not_found"
    title = "There is no such companion"
