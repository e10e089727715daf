"""A page that shows the AsyncAPI document, whole in itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from typing import Any

Part = dict[str, Any]

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}: WebSockets</title><link rel="stylesheet" href="{style}"></head><body><main>
<nav><a href="/docs">HTTP API</a> · <a href="/problems">types of problems</a> ·
<a href="/docs/asyncapi.json">this document as JSON</a></nav>
<h1>{title}: WebSockets</h1><p>Version {version}</p>{body}</main></body></html>"""

STYLE = """:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
main { max-width: 60rem; margin: 0 auto; padding: 1rem }
pre { overflow-x: auto; padding: .75rem; border: 1px solid #8888; border-radius: .5rem }
table { border-collapse: collapse }
td { text-align: left; vertical-align: top; padding: .15rem .75rem .15rem 0 }
h3 { margin-top: 2.5rem }
"""


def page(document: Part, *, style: str) -> str:
    """Return the page; ``style`` is the address of ``STYLE``."""
    info = document["info"]
    parts = [_channel(document, channel) for channel in document["channels"].values()]
    return _PAGE.format(
        title=escape(info["title"]),
        version=escape(info["version"]),
        style=escape(style),
        body="".join(parts),
    )


def _channel(document: Part, channel: Part) -> str:
    paragraphs = "".join(f"<p>{_code(each)}</p>" for each in channel["description"].split("\n\n"))
    codes = "".join(
        f"<tr><td>{code}</td><td>{_code(meaning)}</td></tr>"
        for code, meaning in channel["x-close-codes"].items()
    )
    signing = "".join(
        f"<li>{_code(each['description'])}</li>"
        for each in document["components"]["securitySchemes"].values()
    )
    frames = "".join(_frames(document, channel))
    return (
        f"<h2>{escape(channel['address'])}</h2>{paragraphs}<h3>Signing in</h3><ul>{signing}</ul>"
        f"<h3>Close codes</h3><table>{codes}</table>{frames}"
    )


def _frames(document: Part, channel: Part) -> Iterator[str]:
    for operation in document["operations"].values():
        if _resolve(document, operation["channel"]) is channel:
            yield f"<h2>{escape(operation['title'])}</h2>"
            for reference in operation["messages"]:
                yield _frame(document, _resolve(document, _resolve(document, reference)))


def _frame(document: Part, message: Part) -> str:
    schema = _resolve(document, message["payload"])
    required = schema.get("required", [])
    rows = "".join(
        f"<tr><td><code>{escape(field)}</code></td>"
        f"<td>{_kind(each)}{'' if field in required else ', optional'}</td></tr>"
        for field, each in schema["properties"].items()
    )
    example = json.dumps(message["examples"][0]["payload"], indent=2, ensure_ascii=False)
    name = escape(message["name"])
    return (
        f'<h3 id="{name}"><a href="#{name}">{name}</a></h3><p>{_code(message["summary"])}</p>'
        f"<table>{rows}</table><pre>{escape(example)}</pre>"
    )


def _kind(schema: Part) -> str:
    if "$ref" in schema:
        return escape(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " or ".join(_kind(each) for each in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"<code>{escape(json.dumps(each))}</code>" for each in schema["enum"])
    return escape(schema.get("format") or schema.get("type") or "anything")


def _resolve(document: Part, part: Part) -> Part:
    found: Part = part
    if "$ref" in part:
        found = document
        for step in part["$ref"].removeprefix("#/").split("/"):
            found = found[step]
    return found


def _code(text: str) -> str:
    """Return Markdown's `code` and plain text as HTML."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))
