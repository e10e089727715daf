"""From the bytes of a chat stream to its text: Server-Sent Events, JSON, errors and limits, without I/O."""

from __future__ import annotations

import re

from hub.providers.llm.chunks import Chunk, decode_chunk, read_usage
from hub.providers.llm.failures import failure, failure_of_event
from hub.providers.llm.protocol import Usage

MAX_LINE_BYTES = 1024 * 1024
MAX_STREAM_BYTES = 64 * 1024 * 1024
_MAX_EAGER_LINES = 16  # an event of more data lines is decoded at its blank line only
_FIELD = re.compile(rb"[A-Za-z][\w-]{0,31}(:|$)")  # other SSE fields, to be ignored
_BOM = b"\xef\xbb\xbf"


class StreamParser:
    """Feed it the body of one answer, in pieces cut anywhere.

    ``feed`` and ``end`` return the new text and raise ``LanguageModelError``. ``reason`` is set once the
    answer is whole ("stop" or "length"), ``done`` once nothing more is to be read.
    """

    def __init__(self, *, max_characters: int) -> None:
        self.reason: str | None = None
        self.usage: Usage | None = None
        self.done = False
        self.cut = False  # the text reached its limit; the server may still be writing
        self._room = max_characters
        self._tail: list[bytes] = []  # the pieces of a line without its end
        self._tail_bytes = 0
        self._total_bytes = 0
        self._data: list[bytes] = []  # the data lines of an event without its blank line
        self._texts: list[str] = []
        self._half = ""  # the first half of a surrogate pair
        self._after_cr = False
        self._plain_json: bool | None = None  # None: nothing but white space so far
        self._events = 0
        self._ignored = False

    def feed(self, piece: bytes) -> str:
        """Take the next bytes; return the text that they complete, maybe ""."""
        self._total_bytes += len(piece)
        if self._total_bytes > MAX_STREAM_BYTES:
            raise failure("llm_garbled", detail=f"more than {MAX_STREAM_BYTES} bytes")
        if self._plain_json is None:
            piece = self._sniff(piece)
        if b"\r" in piece or self._after_cr:
            piece = self._without_cr(piece)
        if self._plain_json or b"\n" not in piece:
            self._keep(piece)
            return ""
        lines = piece.split(b"\n")
        if self._tail:
            lines[0] = b"".join((*self._tail, lines[0]))
            self._tail.clear()
            self._tail_bytes = 0
        self._keep(lines.pop())
        for line in lines:
            self._line(line)
            if self.done:
                break
        return self._take_text()

    def end(self) -> str:
        """Take the end of the body; return the rest of the text. Raises unless the answer is whole."""
        rest = b"".join(self._tail)
        self._tail.clear()
        if self._plain_json:
            self._whole(rest)
        elif rest and not self.done:
            self._line(rest)
        if self.reason is None:
            if self._ignored and not self._events:
                raise failure("llm_bad_answer", detail="no event in the stream")
            raise failure("llm_truncated", detail="end of stream without a finish")
        return self._take_text(last=True)

    def flush(self) -> str:
        """Return what is held back, when no more is read of an answer that is whole."""
        return self._take_text(last=True)

    # Lines and events.

    def _sniff(self, piece: bytes) -> bytes:
        """Tell a stream from one JSON body by the first byte that is not white space."""
        piece = piece.removeprefix(_BOM)
        start = piece.lstrip()[:1]
        if start:
            self._plain_json = start in (b"{", b"[")
        return piece

    def _without_cr(self, piece: bytes) -> bytes:
        """CRLF and CR become LF, also where a CRLF is cut in two."""
        if self._after_cr and piece:
            piece = piece.removeprefix(b"\n")
            self._after_cr = False
        if piece.endswith(b"\r"):
            self._after_cr = True
        return piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _keep(self, piece: bytes) -> None:
        if not piece:
            return
        self._tail.append(piece)
        self._tail_bytes += len(piece)
        if self._tail_bytes > MAX_LINE_BYTES:
            raise failure("llm_garbled", detail=f"a line of more than {MAX_LINE_BYTES} bytes")

    def _line(self, line: bytes) -> None:
        if line.startswith(b"data:"):
            self._data_line(line[6:] if line[5:6] == b" " else line[5:])
        elif not line:
            if self._data:
                self._dispatch()
        elif line.startswith(b":"):
            pass  # a comment: a sign of life
        elif line.startswith(b"{"):
            self._data_line(line)  # proxies write their errors without "data:"
        elif line.startswith(b"error:") and self.reason is None:
            raise failure_of_event(line[6:])  # older llama.cpp
        elif _FIELD.match(line):
            self._ignored = True
        else:
            code = "llm_garbled" if self._events else "llm_bad_answer"
            raise failure(code, detail="a line that is no event")

    def _data_line(self, value: bytes) -> None:
        """Take one data line.

        An event ends with a blank line, but servers forget it and nearly all events are one line: so it is
        tried at once, and kept for more lines only if it is no JSON yet.
        """
        self._data.append(value)
        if len(self._data) <= _MAX_EAGER_LINES and value.rstrip().endswith((b"}", b"[DONE]")):
            self._try_event(b"\n".join(self._data))

    def _try_event(self, data: bytes) -> bool:
        if data.strip() == b"[DONE]":
            self.done = True
            self.reason = self.reason or "stop"
        else:
            try:
                chunk = decode_chunk(data)
            except ValueError:
                return False
            self._chunk(chunk)
        self._data.clear()
        self._events += 1
        return True

    def _dispatch(self) -> None:
        """A blank line: what is kept must be an event now."""
        data = b"\n".join(self._data)
        if data.strip() and not self._try_event(data):
            code = "llm_garbled" if self._events else "llm_bad_answer"
            raise failure(code, detail="an event that is no chunk")
        self._data.clear()

    def _whole(self, body: bytes) -> None:
        """One JSON body instead of a stream: an answer, or an error with status 200."""
        try:
            chunk = decode_chunk(body)
        except ValueError:
            raise failure("llm_bad_answer", detail="a body that is no answer") from None
        if not chunk.choices and chunk.server_error() is None:
            raise failure("llm_bad_answer", detail="a body without choices")
        self._chunk(chunk)
        self.done = True
        self.reason = self.reason or "stop"

    # Chunks and text.

    def _chunk(self, chunk: Chunk) -> None:
        error = chunk.server_error()
        if error is not None:
            if self.reason is None:  # after the finish it costs nothing any more
                raise failure_of_event(error)
            return
        text, reason = chunk.text_and_reason()
        if text and self.reason is None:
            self._texts.append(text)
        if chunk.usage is not None:
            self.usage = read_usage(chunk.usage) or self.usage
        if reason is not None and self.reason is None:
            self.reason = _reason(reason)

    def _take_text(self, *, last: bool = False) -> str:
        """Join what the events brought, repair it and cut it at the limit."""
        if not self._texts and not (last and self._half):
            return ""
        text = self._half + "".join(self._texts)
        self._texts.clear()
        self._half = ""
        if text and not last and "\ud800" <= text[-1] <= "\udbff":
            self._half, text = text[-1], text[:-1]
        text = _repaired(text)
        if len(text) > self._room:
            text = text[: self._room]
            self.reason = "length"
            self.done = self.cut = True
        self._room -= len(text)
        return text


def _reason(told: str) -> str:
    if told == "content_filter":
        raise failure("llm_content_filter", detail="finish_reason")
    if told == "error":
        raise failure("llm_server_error", detail="finish_reason error")
    if told in ("abort", "cancelled"):
        raise failure("llm_truncated", detail="the server stopped the answer")
    return "length" if told in ("length", "max_tokens") else "stop"


def _repaired(text: str) -> str:
    """Drop NUL, join surrogate pairs, replace halves with U+FFFD."""
    if "\0" in text:
        text = text.replace("\0", "")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
