"""The data folder: there and writable, closed to others, with room, and without leftovers."""

from __future__ import annotations

import os
import shutil
import stat
import time
from pathlib import Path

from hub.core.clock import utc_now
from hub.core.settings import FIELDS, Loaded, Settings
from hub.core.sizes import size
from hub.db.embedded.layout import Layout
from hub.doctor.findings import Finding, bad, good, warning
from hub.domain.images.collector import TEMPORARY_LIFE
from hub.storage import layout
from hub.storage.archives import times_in
from hub.storage.secret import key_file

_DATA = "HUB_DATA_DIR"
_FLOOR = "HUB_FREE_SPACE_FLOOR_MB"
_MB = 1_000_000
#: Share of a file system's inodes below which it is time to look.
_FEW_INODES = 0.05
_LEAST_KEY = 32
#: Days after which a backup is no longer one of these days.
_OLD_BACKUP = 2.0


def data_folder(settings: Settings, *, fix: bool) -> list[Finding]:
    """See whether files can be written, and by whom pictures can be read."""
    folder = settings.data_dir
    try:
        return [_writable(folder, fix=fix), *_closed(folder / layout.UPLOADS, fix=fix)]
    except OSError as error:
        return [
            bad(
                "data folder",
                f"{folder} cannot be written to: {error.strerror or error}",
                advice="Make it writable for the user that runs the hub, or name another folder.",
                setting=_DATA,
            )
        ]


def _writable(folder: Path, *, fix: bool) -> Finding:
    if layout.temporary_folder(folder).is_dir():
        layout.check_writable(folder)
        return good("data folder", f"{folder.absolute()} is writable")
    if fix:
        layout.prepare(folder)
        return good("data folder", f"{folder.absolute()} is writable", fixed="made the folders")
    place = nearest(folder)
    if not os.access(place, os.W_OK | os.X_OK) or not place.is_dir():
        reason = "Not a directory" if not place.is_dir() else "Permission denied"
        raise OSError(0, reason, str(place))
    return good("data folder", f"{folder.absolute()} is made at the first start")


def _closed(uploads: Path, *, fix: bool) -> list[Finding]:
    if not uploads.is_dir() or not mode_of(uploads) & 0o077:
        return []
    if fix:
        uploads.chmod(0o700)
        return [good("pictures' folder", f"{uploads} is closed to other users", fixed="closed it (mode 700)")]
    return [
        warning(
            "pictures' folder",
            f"other users of this machine may look into {uploads} (mode {mode_of(uploads):o})",
            advice="Close it with `chmod 700`, or let `hub doctor --fix` do it.",
            setting=_DATA,
        )
    ]


def secrets(loaded: Loaded, *, fix: bool) -> list[Finding]:
    """See whether files that hold secrets are the owner's alone."""
    settings = loaded.settings
    files = [(Layout.below(settings.data_dir).password, _DATA)]
    if settings.secret_key is None:
        files.insert(0, (key_file(settings.data_dir), _DATA))
    in_dotenv = [name for name in _secret_names(settings) if loaded.origins[name] == ".env"]
    if in_dotenv:
        files.append((Path(".env"), FIELDS[in_dotenv[0]].variable))
    findings = [each for file, setting in files for each in _private(file, setting, fix=fix)]
    return [_key(settings), *findings]


def _secret_names(settings: Settings) -> list[str]:
    return [name for name, value in settings.__rich_repr__() if value != getattr(settings, name)]


def _key(settings: Settings) -> Finding:
    if settings.secret_key is not None:
        return good("secret key", "set by HUB_SECRET_KEY")
    file = key_file(settings.data_dir)
    try:
        length = len(file.read_text().strip())
    except FileNotFoundError:
        return good("secret key", "made in the data folder at the first start")
    except (OSError, UnicodeDecodeError) as error:
        words = getattr(error, "strerror", None) or type(error).__name__
        advice = "Make it readable for the user that runs the hub, or set HUB_SECRET_KEY."
        return bad("secret key", f"{file} cannot be read ({words})", advice=advice, setting="HUB_SECRET_KEY")
    if length < _LEAST_KEY:
        advice = "Delete the file: a new key is made. Links that were signed with the old one end."
        return bad("secret key", f"the key in {file} is too short", advice=advice, setting="HUB_SECRET_KEY")
    return good("secret key", f"in {file}")


def _private(file: Path, setting: str, *, fix: bool) -> list[Finding]:
    try:
        mode = mode_of(file)
    except OSError:
        return []
    if not mode & 0o077:
        return []
    if fix:
        try:
            file.chmod(0o600)
        except OSError as error:
            advice = f"`chmod 600` failed ({error.strerror}): do it as its owner."
            return [_open_to_others(file, mode, setting, advice)]
        return [good("secret file", f"{file} is its owner's alone", fixed="closed it (mode 600)")]
    advice = "Close it with `chmod 600`, or let `hub doctor --fix` do it."
    return [_open_to_others(file, mode, setting, advice)]


def _open_to_others(file: Path, mode: int, setting: str, advice: str) -> Finding:
    judge, who = (bad, "everybody on this machine") if mode & 0o007 else (warning, "a group")
    return judge("secret file", f"{who} may read {file} (mode {mode:o})", advice=advice, setting=setting)


def disk(settings: Settings) -> list[Finding]:
    """See whether the disk has room for pictures, and for more files at all."""
    place = nearest(settings.data_dir)
    free, floor = shutil.disk_usage(place).free, settings.free_space_floor_mb * _MB
    detail = f"{size(free)} free, {size(floor)} of it kept free"
    advice = "Free some space, or move the data folder to a larger disk."
    found = [good("disk", detail)]
    if free < floor:
        found = [bad("disk", f"{detail}: no picture is taken", advice=advice, setting=_FLOOR)]
    elif free < 2 * floor:
        found = [warning("disk", detail, advice=advice, setting=_FLOOR)]
    figures = os.statvfs(place)
    if figures.f_files and figures.f_favail / figures.f_files < _FEW_INODES:
        few = f"{figures.f_favail:,} of {figures.f_files:,} inodes are left"
        inodes = "Delete small files on this disk: without inodes no file can be made."
        judge = warning if figures.f_favail else bad
        found.append(judge("inodes", few, advice=inodes, setting=_DATA))
    return found


def backups(settings: Settings) -> list[Finding]:
    """See whether there is a backup of these days, where backups are made or should be."""
    folder, check, setting = settings.backup_folder, "backups", "HUB_BACKUP_DIR"
    try:
        times = times_in(folder)
    except OSError:
        times = []
    if not times:
        if settings.env == "development" and settings.backup_dir is None:
            return [good(check, "none yet; hub backup makes one")]
        return [warning(check, f"there is none in {folder}", advice="Make one: hub backup.", setting=setting)]
    days = (utc_now() - max(times)).total_seconds() / 86_400
    detail = f"{len(times)} in {folder}, the last {days:.1f} days old"
    if days > _OLD_BACKUP:
        advice = "Make one: hub backup; a timer (deploy/systemd) does it every night."
        return [warning(check, detail, advice=advice, setting=setting)]
    return [good(check, detail)]


def old_temporary_files(settings: Settings) -> int:
    """Count the files that nobody can still be writing."""
    folder, oldest = layout.temporary_folder(settings.data_dir), time.time() - TEMPORARY_LIFE
    try:
        with os.scandir(folder) as found:
            return sum(each.stat(follow_symlinks=False).st_mtime < oldest for each in found)
    except OSError:
        return 0


def nearest(folder: Path) -> Path:
    """Return the folder, or the nearest above it that is there."""
    return next(each for each in (folder.absolute(), *folder.absolute().parents) if os.path.exists(each))  # noqa: PTH110 - Path.exists raises where a parent is closed


def mode_of(path: Path) -> int:
    """Return who may do what with a file or folder."""
    return stat.S_IMODE(path.stat().st_mode)
