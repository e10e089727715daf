"""Why a picture is not taken. The sentences are for the person who sent it."""

from hub.core.errors import HubError


class UnsupportedImageError(HubError):
    """The file is of a type that is not taken, whatever it says it is."""

    status = 415
    code = "unsupported_image"
    title = "This kind of file is not supported"


class UnreadableImageError(HubError):
    """The type is right, but it is damaged, cut off, animated, empty, or too hard to read."""

    status = 422
    code = "unreadable_image"
    title = "The picture cannot be read"


class TooManyPixelsError(HubError):
    """The picture is larger than what is decoded here."""

    status = 413
    code = "too_many_pixels"
    title = "The picture is too large"
