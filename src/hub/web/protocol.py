"""The web server's protocol, with the hub's own words where it refuses what is no HTTP."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from hub.core.ids import new_id
from hub.web.problems import PROBLEM_JSON, problem


class HttpProtocol(HttpToolsProtocol):
    """Refuses what cannot be parsed with a problem document, as the application refuses all else."""

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the library's words; its log has them
        """Answer and hang up."""
        request_id = new_id().hex
        body = problem(
            400,
            "invalid_http",
            "This is not valid HTTP",
            "Check the method, the address and the headers.",
            request_id=request_id,
        )
        head = (
            f"HTTP/1.1 400 Bad Request\r\nContent-Type: {PROBLEM_JSON}\r\nContent-Length: {len(body)}\r\n"
            f"X-Request-ID: {request_id}\r\nConnection: close\r\n\r\n"
        )
        self.transport.write(head.encode("ascii") + body)
        self.transport.close()
