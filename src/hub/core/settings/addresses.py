"""URLs that may carry credentials: taken apart once, never shown with them."""

from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from msgspec import Struct

_MAX_PORT = 65_535
_FORBIDDEN = frozenset(' "<>\\^`{|}')


class Secret(str):
    """A string that works as it is, but shows itself as ``***`` wherever a representation is printed."""

    __slots__ = ()

    def masked(self) -> str:
        """Return what may be shown."""
        return "***"

    def __repr__(self) -> str:
        return repr(self.masked())


class SecretUrl(Secret):
    """A URL whose representation has neither user, password nor query."""

    __slots__ = ()

    def masked(self) -> str:
        """Return the URL with everything hidden that may be a secret."""
        try:
            parts = urlsplit(self)
        except ValueError:
            return "***"
        if not parts.netloc or "@" in parts.path:
            return f"{parts.scheme}://***"
        user, _, host = parts.netloc.rpartition("@")
        query = "?***" if parts.query or parts.fragment else ""
        return f"{parts.scheme}://{'***@' if user else ''}{host}{parts.path}{query}"


class Address(Struct, frozen=True, kw_only=True):
    """The parts of a URL that rules look at. ``hosts`` are names, IP addresses or socket folders."""

    user: str
    password: Secret
    hosts: tuple[str, ...]
    query: frozenset[str]

    @property
    def local_socket(self) -> bool:
        """Whether every host is a folder that holds a Unix socket."""
        return all(host.startswith("/") for host in self.hosts)


def parse_address(url: str, schemes: tuple[str, ...]) -> Address:
    """Take ``url`` apart.

    Raises:
        ValueError: it is no URL of one of ``schemes`` with a host; the text never holds a part of it.
    """
    if _FORBIDDEN.intersection(url):
        raise ValueError("holds a space or another character that a URL must write as %XX")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("is not a URL") from None
    if parts.scheme not in schemes:
        raise ValueError("does not start with " + " or ".join(f"{scheme}://" for scheme in schemes))
    if "@" in url and "@" not in parts.netloc and "@" in parts.path + parts.query + parts.fragment:
        raise ValueError("holds a /, ? or # before its @: in a user or password write them as %XX")
    return _address(parts)


def _address(parts: SplitResult) -> Address:
    credentials, _, places = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    hosts = [_host(place) for place in places.split(",")] if places else []
    if not any(hosts) and query.get("host"):
        hosts = query["host"].split(",")
    if not hosts or not all(hosts):
        raise ValueError("has no host")
    return Address(
        user=unquote(user) or query.get("user", ""),
        password=Secret(unquote(password) or query.get("password", "")),
        hosts=tuple(hosts),
        query=frozenset(query),
    )


def _host(place: str) -> str:
    if place.startswith("["):
        host, _, rest = place[1:].partition("]")
        port = rest.removeprefix(":")
    else:
        host, _, port = place.partition(":")
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) <= _MAX_PORT):
        raise ValueError("has a port that is no number from 1 to 65535")
    return unquote(host)
