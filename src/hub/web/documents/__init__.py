"""What the hub says about itself: the OpenAPI and AsyncAPI documents.

They are made from the code by ``make documents`` and kept beside it, so that a change of the contract is seen
where changes are read, and a running hub only hands them out. Tests compare them with the code.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import msgspec

import hub

OPENAPI = Path(__file__).with_name("openapi.json")
ASYNCAPI = Path(__file__).with_name("asyncapi.json")

#: Stands in the kept documents for the version, which changes more often than they do.
ANY_VERSION = "any"


def kept(file: Path) -> dict[str, Any]:
    """Return a kept document, of this version."""
    document = cast("dict[str, Any]", msgspec.json.decode(file.read_bytes()))
    document["info"]["version"] = hub.__version__
    return document
