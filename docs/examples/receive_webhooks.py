"""A receiver of webhooks: WEBHOOK_SECRET=whsec_... python receive_webhooks.py 8080."""

import base64
import hmac
import json
import os
import sys
import time
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

SECRET = os.environ["WEBHOOK_SECRET"]
TOLERANCE = 300  # seconds that its clock and ours may be apart; what is older may be a replay


def verified(headers: Message, body: bytes) -> dict[str, Any] | None:
    """Return what the hub says, or None if somebody else says it."""
    message_id, sent_at = headers["webhook-id"] or "", headers["webhook-timestamp"] or ""
    if not sent_at.isdecimal() or abs(int(sent_at) - time.time()) > TOLERANCE:
        return None
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    signed = f"{message_id}.{sent_at}.".encode() + body  # the very bytes that came, before any parsing
    expected = "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    given = (headers["webhook-signature"] or "").split(" ")  # two while a secret is being replaced
    if not any(hmac.compare_digest(expected.encode(), each.encode()) for each in given):
        return None
    return dict(json.loads(body))


class Receiver(BaseHTTPRequestHandler):
    """Takes each event once; a database would remember for longer than this."""

    seen: set[str] = set()  # noqa: RUF012 - shared by all requests on purpose

    def do_POST(self) -> None:
        """Answer quickly: what takes longer than a few seconds belongs into a queue."""
        event = verified(self.headers, self.rfile.read(int(self.headers["content-length"] or 0)))
        self.send_response(401 if event is None else 204)
        self.end_headers()
        if event is not None and self.headers["webhook-id"] not in self.seen:
            self.seen.add(self.headers["webhook-id"])
            print(event["type"], event["data"]["id"], flush=True)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing of every request."""


server = HTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver)
print(f"listening on port {server.server_port}", flush=True)
server.serve_forever()
