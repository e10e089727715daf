"""What can go wrong with the image processes themselves."""

from hub.core.errors import HubError


class ImagesUnavailableError(HubError):
    """No image process can be started, or the hub is stopping; it says nothing about the picture."""

    status = 503
    code = "images_unavailable"
    title = "Pictures cannot be processed at the moment"
