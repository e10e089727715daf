"""Texts of the code as readers of the documents know them."""

from __future__ import annotations


def put_right(part: object) -> None:
    r"""Write patterns in JavaScript's way (``\Z`` is Python's) and descriptions in Markdown, in place."""
    if isinstance(part, dict):
        pattern = part.get("pattern")
        if isinstance(pattern, str) and pattern.endswith("\\Z"):
            part["pattern"] = pattern[:-2] + "$"
        for name in ("description", "summary"):
            if isinstance(part.get(name), str):
                part[name] = part[name].replace("``", "`")
        for each in part.values():
            put_right(each)
    elif isinstance(part, list):
        for each in part:
            put_right(each)
