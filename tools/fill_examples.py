"""Put the files that a page names into it: ``python tools/fill_examples.py PAGE...``.

A page names one by ``<!-- example: FILE -->`` on a line by itself, relative to the page; the block of code
behind it is written anew.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

_LANGUAGES = {".sh": "sh", ".py": "python", ".mjs": "js"}
_PLACE = re.compile(r"^<!-- example: (\S+) -->\n(?:```\w*\n.*?^```\n)?", re.MULTILINE | re.DOTALL)


def filled(page: Path) -> str:
    """Return a page as it should be."""

    def block(match: re.Match[str]) -> str:
        file = page.parent / match[1]
        code = file.read_text(encoding="utf-8").rstrip()
        return f"<!-- example: {match[1]} -->\n```{_LANGUAGES[file.suffix]}\n{code}\n```\n"

    return _PLACE.sub(block, page.read_text(encoding="utf-8"))


if __name__ == "__main__":
    for each in map(Path, sys.argv[1:]):
        each.write_text(filled(each), encoding="utf-8")
