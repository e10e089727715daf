"""What every provider's failure says, whichever kind of provider it is."""

from __future__ import annotations


class ProviderError(Exception):
    """A provider gave no whole answer.

    ``code`` is a stable machine word ("llm_timeout"), ``message`` (also the exception's text) one sentence
    for the user, ``transient`` says that the same question may succeed later, ``retry_after`` is the
    server's own wish in seconds, ``detail`` a few technical words for the log. None of them ever holds the
    key or anything that the server wrote freely, since servers echo keys and prompts.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        transient: bool,
        retry_after: float | None = None,
        detail: str = "",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.transient = transient
        self.retry_after = retry_after
        self.detail = detail
