"""Write the documents anew: ``python -m hub.web.documents``, which is what ``make documents`` does."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from hub.core.errors import StartError
from hub.web.app import ROUTE_HANDLERS
from hub.web.documents import ANY_VERSION, ASYNCAPI, OPENAPI
from hub.web.documents.asyncapi import asyncapi
from hub.web.documents.openapi import openapi


def rendered(document: dict[str, Any]) -> str:
    """Return a document as it is kept: the same for the same contract, whatever the version."""
    document["info"]["version"] = ANY_VERSION
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def documents() -> dict[Path, str]:
    """Return what each kept document should be."""
    return {OPENAPI: rendered(openapi(ROUTE_HANDLERS)), ASYNCAPI: rendered(asyncapi())}


if __name__ == "__main__":
    try:
        found = documents()
    except StartError as error:  # an example is missing: the sentence names it
        sys.exit(str(error))
    for file, text in found.items():
        file.write_text(text, encoding="utf-8")
