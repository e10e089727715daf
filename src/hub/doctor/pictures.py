"""The picture programs: paint a small card and store it as the settings say."""

from __future__ import annotations

import tempfile
from importlib import metadata
from pathlib import Path

from hub.core.errors import HubError
from hub.core.settings import Settings
from hub.doctor.findings import Finding, bad, good
from hub.domain.images.service import encoding_of
from hub.storage.images import SMALLEST_CARD, ImageProcesses, ImagesUnavailableError

_CHECK = "pictures"
#: Seconds; more than there is, so that a machine that is busy is not taken for one that cannot.
_PATIENCE = 600.0


async def pictures(settings: Settings) -> list[Finding]:
    """See whether libvips paints, reads and writes here, in its confined process."""
    processes = ImageProcesses(count=1, timeout=_PATIENCE)
    try:
        with tempfile.TemporaryDirectory(prefix="companion-hub-doctor-") as name:
            await _store(processes, settings, Path(name))
    except (HubError, OSError) as error:
        unavailable = isinstance(error, ImagesUnavailableError)
        reason = "its process does not start" if unavailable else str(error)
        return [
            bad(
                _CHECK,
                f"libvips {_version()} cannot write {settings.image_format}: {reason}",
                advice="Install the hub again with its dependencies, or choose another format.",
                setting="HUB_IMAGE_FORMAT",
            )
        ]
    finally:
        await processes.close()
    return [good(_CHECK, f"libvips {_version()} paints, reads and writes {settings.image_format}")]


async def _store(processes: ImageProcesses, settings: Settings, folder: Path) -> None:
    card, main, thumb = (folder / name for name in ("card", "main", "thumb"))
    for each in (card, main, thumb):
        each.touch()
    await processes.paint(
        card, seed=1, width=SMALLEST_CARD, height=SMALLEST_CARD, title="", captions=(), portrait=True
    )
    encoding = encoding_of(settings)
    await processes.encode(card, main=main, thumb=thumb, box=SMALLEST_CARD, encoding=encoding)


def _version() -> str:
    try:
        return metadata.version("pyvips-binary")
    except metadata.PackageNotFoundError:
        return "of the system"
