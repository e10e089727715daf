"""The page's own files, as browsers get them: under an address that changes with their content.

All of them share one digest, since modules import each other by relative paths. So a browser may keep what
it has for ever, and never mixes files of two versions.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from functools import cache, cached_property
from pathlib import Path, PurePosixPath
from typing import Annotated

from litestar import Response, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, Parameter
from msgspec import Struct

from hub.core.logging import get_logger
from hub.web.pages.words import LANGUAGES, words_in
from hub.web.requests import HubRequest

logger = get_logger(__name__)

FOLDER = Path(__file__).parent / "static"
PREFIX = "/assets"

_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
}
#: What is compressed already.
_DENSE = {".png"}
_COMMENTED = {".css", ".js"}
_FOREVER = "public, max-age=31536000, immutable"
#: A static import of another module by its relative path.
_IMPORT = re.compile(r"""(?:^|[;}\s])(?:import|export)\b[^;"'()]*?["'](\.{1,2}/[^"']+)["']""", re.MULTILINE)

#: Comments with lines of their own, and types within lines, which only readers of the code need. In no text
#: may there be what looks like one; a test looks.
_COMMENTS = re.compile(
    r"^[ \t]*(?:/\*(?:(?!\*/).)*\*/[ \t]*|//[^\n]*)\n|/\*\* @type [^\n]*?\*/ ?", re.MULTILINE | re.DOTALL
)

#: Only spaces between elements, where it stands in a template.
_INDENTS = re.compile(r"^[ \t]+", re.MULTILINE)

Digest = Annotated[str, Parameter(max_length=64)]


class Asset(Struct, frozen=True, dict=True):
    """One file as it is sent."""

    content: bytes
    suffix: str

    @property
    def media_type(self) -> str:
        """What the browser takes it for."""
        return _MEDIA_TYPES[self.suffix]

    @cached_property
    def compressed(self) -> bytes | None:
        """The file for browsers that take gzip, where that makes it smaller."""
        return None if self.suffix in _DENSE else gzip.compress(self.content, 9, mtime=0)


class Assets:
    """All files under :data:`FOLDER`, and the words of each language as a module for scripts."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._files = {
            path.relative_to(folder).as_posix(): Asset(_read(path, folder), path.suffix)
            for path in sorted(folder.rglob("*"))
            if path.suffix in _MEDIA_TYPES and path.is_file()
        }
        for language in LANGUAGES:
            self._files[f"words/{language}.js"] = Asset(words_in(language).module(), ".js")
        digest = hashlib.sha256()
        for name, asset in self._files.items():
            digest.update(f"{name}\0{len(asset.content)}\0".encode() + asset.content)
        self.digest = digest.hexdigest()[:16]
        self._modules: dict[str, list[str]] = {}
        if "vendor/lit-html/lit-html.js" not in self._files:
            logger.warning("the page lacks its JavaScript libraries; make run brings them")

    @property
    def names(self) -> list[str]:
        """The paths of all files."""
        return list(self._files)

    def find(self, name: str) -> Asset | None:
        """Return a file by its path below the folder."""
        return self._files.get(name)

    def address(self, name: str) -> str:
        """Return where browsers get a file."""
        if name not in self._files:
            raise LookupError(f"There is no asset {name}.")
        return f"{PREFIX}/{self.digest}/{name}"

    def modules(self, entry: str) -> list[str]:
        """Return the addresses of all that a module imports, so that a browser asks for them at once."""
        if entry not in self._modules:
            seen: dict[str, None] = {}
            self._follow(entry, seen)
            del seen[entry]
            self._modules[entry] = [self.address(name) for name in seen]
        return self._modules[entry]

    def _follow(self, name: str, seen: dict[str, None]) -> None:
        asset = self._files.get(name)
        if asset is None or name in seen:
            return
        seen[name] = None
        for target in _IMPORT.findall(asset.content.decode()):
            self._follow(_join(PurePosixPath(name).parent, target), seen)


def _read(path: Path, folder: Path) -> bytes:
    content = path.read_bytes()
    is_own = path.suffix in _COMMENTED and folder / "vendor" not in path.parents  # others' name their licence
    return _INDENTS.sub("", _COMMENTS.sub("", content.decode())).encode() if is_own else content


def _join(folder: PurePosixPath, target: str) -> str:
    parts = list(folder.parts)
    for part in target.split("/"):
        if part == ".." and parts:
            parts.pop()
        elif part not in (".", ".."):
            parts.append(part)
    return "/".join(parts)


@cache
def assets() -> Assets:
    """Return the files, read once."""
    return Assets()


@get(
    [f"{PREFIX}/{{digest:str}}/{{name:path}}"],
    opt={"exclude_from_auth": True},
    include_in_schema=False,
)
async def asset(request: HubRequest, digest: FromPath[Digest], name: FromPath[str]) -> Response[bytes]:
    """Return a file of the page; under the address of another version it is not to be kept."""
    found = assets().find(name.removeprefix("/"))
    if found is None:
        raise NotFoundException
    headers = {
        "Cache-Control": _FOREVER if digest == assets().digest else "no-cache",
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    content = found.content
    if found.compressed is not None and _takes_gzip(request.headers.get("accept-encoding", "")):
        content = found.compressed
        headers["Content-Encoding"] = "gzip"
    return Response(content, media_type=found.media_type, headers=headers)


def _takes_gzip(header: str) -> bool:
    for part in header.split(","):
        name, _, weight = part.partition(";")
        if name.strip().lower() == "gzip":
            return weight.replace(" ", "").lower() not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
