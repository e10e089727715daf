"""Pictures that people send, decoded and encoded in processes of their own."""

from hub.storage.codec.contracts import Encoded, Encoding, MediaType
from hub.storage.codec.errors import TooManyPixelsError, UnreadableImageError, UnsupportedImageError
from hub.storage.codec.sniff import SNIFF_BYTES, sniff
from hub.storage.errors import NoRoomError, StorageFailedError
from hub.storage.images.errors import ImagesUnavailableError
from hub.storage.images.pool import LARGEST_CARD, SMALLEST_CARD, ImageProcesses

__all__ = [
    "LARGEST_CARD",
    "SMALLEST_CARD",
    "SNIFF_BYTES",
    "Encoded",
    "Encoding",
    "ImageProcesses",
    "ImagesUnavailableError",
    "MediaType",
    "NoRoomError",
    "StorageFailedError",
    "TooManyPixelsError",
    "UnreadableImageError",
    "UnsupportedImageError",
    "sniff",
]
