"""Write docs/troubleshooting.md from the texts that the server shows at ``/problems``."""

from __future__ import annotations

import re
from pathlib import Path

from hub.web.pages import guide

PROJECT = Path(__file__).resolve().parents[1]
FILE = PROJECT / "docs" / "troubleshooting.md"
_TEXTS = f"../{guide.FOLDER.relative_to(PROJECT).as_posix()}"
_ABOUT = """\
# Troubleshooting

Every running hub shows this at `/problems`, and the page of a problem at the address in its `type`. The texts
are those in [{folder}]({texts});
this file is written from them by `make documents`.
"""


def troubleshooting() -> str:
    """Return the file: what to do by what one sees, then every type of problem by where it belongs."""
    symptoms = re.sub(r"\]\(([a-z-]+\.md#)", rf"]({_TEXTS}/\1", guide.symptoms().text)
    symptoms = re.sub(r"`docs/([a-z-]+\.md)`", r"[\1](\1)", symptoms)
    about = _ABOUT.format(folder=guide.FOLDER.relative_to(PROJECT).as_posix(), texts=_TEXTS)
    return "\n".join([about, symptoms, "", *_index()])


def _index() -> list[str]:
    lines = ["## By type of problem"]
    for part in guide.parts():
        file = f"{_TEXTS}/{part.name}.md"
        lines += ["", f"**[{part.title}]({file})**", "", "| type | told | |", "|---|---|---|"]
        lines += [
            f"| [{kind.name}]({file}#{kind.name}) | {', '.join(kind.places)} | {kind.title} |"
            for kind in part.kinds
        ]
    return [*lines, ""]


if __name__ == "__main__":
    FILE.write_text(troubleshooting(), encoding="utf-8")
