"""What can be wrong with pictures."""

from hub.core.errors import HubError


class ImageNotFoundError(HubError):
    """There is no such picture, or it is somebody else's."""

    status = 404
    code = "image_not_found"
    title = "There is no such picture"


class NoHeaderImageError(HubError):
    """The companion has no header picture."""

    status = 404
    code = "image_not_found"
    title = "This companion has no header picture"


class HeaderKeptError(HubError):
    """The companion has a header picture already, which was not to be replaced."""

    status = 409
    code = "header_kept"
    title = "This companion has a header picture already"


class QuotaExceededError(HubError):
    """The user's pictures would take more than one user may have."""

    status = 507
    code = "quota_exceeded"
    title = "Your pictures take all the room you have"


class FilesTakenError(HubError):
    """The collector took a picture's files away again and again before their row was stored."""

    status = 503
    code = "files_taken"
    title = "The picture could not be stored"


class LinkInvalidError(HubError):
    """A signed link that is not ours, or whose time is over."""

    status = 404
    code = "link_invalid"
    title = "This link does not work any more"
