"""How a subscriber learns that an attempt has begun: from the live event or from the row, but once."""

from __future__ import annotations

from datetime import UTC, datetime

from hub.core.ids import new_id
from hub.domain.chat.cursor import Fit, ResponseCursor
from hub.domain.chat.frames import ResponseInProgress
from hub.domain.chat.schemas import Response
from hub.live.events import Begun, Delta

CONVERSATION, RESPONSE = new_id(), new_id()
CREATED = datetime(2026, 1, 2, tzinfo=UTC)


def row(*, attempt: int = 1, text: str = "") -> Response:
    return Response(
        id=RESPONSE,
        conversation_id=CONVERSATION,
        status="in_progress",
        output_text=text,
        message_id=None,
        attempt=attempt,
        error=None,
        usage=None,
        created_at=CREATED,
        completed_at=None,
    )


def begun(attempt: int = 1) -> Begun:
    return Begun(CONVERSATION, RESPONSE, attempt, CREATED)


def test_the_event_tells_what_the_row_would() -> None:
    from_event = ResponseCursor(CONVERSATION, RESPONSE).begin(begun())
    from_row = ResponseCursor(CONVERSATION, RESPONSE).advance(row())
    assert from_event == from_row == [ResponseInProgress(conversation_id=CONVERSATION, response=row())]


def test_whichever_comes_second_tells_nothing() -> None:
    cursor = ResponseCursor(CONVERSATION, RESPONSE)
    assert cursor.begin(begun())
    assert cursor.advance(row()) == []
    assert cursor.begin(begun()) == []


def test_text_goes_on_behind_the_beginning() -> None:
    cursor = ResponseCursor(CONVERSATION, RESPONSE)
    cursor.begin(begun())
    assert cursor.fit(Delta(CONVERSATION, RESPONSE, 1, 0, "Hello")) is Fit.NEXT


def test_a_late_event_does_not_take_back_text_that_was_told() -> None:
    cursor = ResponseCursor(CONVERSATION, RESPONSE)
    cursor.advance(row(text="Hello"))
    assert cursor.begin(begun()) == []
    assert cursor.fit(Delta(CONVERSATION, RESPONSE, 1, 5, " there")) is Fit.NEXT


def test_a_new_attempt_starts_afresh_and_an_old_one_is_ignored() -> None:
    cursor = ResponseCursor(CONVERSATION, RESPONSE)
    cursor.advance(row(text="Hello"))
    assert cursor.begin(begun(2)) == [
        ResponseInProgress(conversation_id=CONVERSATION, response=row(attempt=2))
    ]
    assert cursor.fit(Delta(CONVERSATION, RESPONSE, 2, 0, "Again")) is Fit.NEXT
    assert cursor.begin(begun(1)) == []
