"""What the examples in the documents are made of: one small world in which everything fits together.

Keys are names of fields as clients see them, or ``Struct.field`` where one Struct means something else by
the name. Dates, ids and choices need no entry.
"""

from __future__ import annotations

from typing import Any, Final

#: Stands for a field that is better left out.
LEFT_OUT: Final = object()

#: When everything happens.
MOMENT = "2026-11-23T08:15:30Z"
LATER = "2026-11-23T08:15:34Z"
FAR = "2027-02-21T08:15:30Z"

TEXT = "Good morning! The moss by the pond has woken up after the rain. Shall I show you?"

MODEL = "companion/019f8a2c-5b1e-7d3a-9c4f-0a1b2c3d4e03"

_SAID: dict[str, Any] = {
    "role": "user",
    "content": "Good morning! What grows in your garden?",
    "position": 1,
    "response_id": None,
}
_NOT_BEGUN: dict[str, Any] = {
    "status": "queued",
    "output_text": "",
    "message_id": None,
    "usage": None,
    "completed_at": None,
}

VALUES: dict[str, Any] = {
    # people
    "username": "robin_k",
    "login": "robin_k",
    "email": "robin@example.org",
    "password": "three green umbrellas",
    "current_password": "three green umbrellas",
    "new_password": "seven quiet lanterns",
    "display_name": "Robin",
    "User.role": "user",
    "access_token": "Zk3vJ0q9TqW1n6y8cXo2bR5sLdGfHjKpMtUeAiQxVwY",
    "ticket": "b7Qp2Yx9LmR4tVd8KsWf3NzHc6JgXaEu1OiTy5BqPvM",
    "cookie": False,
    "invite": "chub_inv_8mQ2vX7cK4rT9bWn6yPz3LsdHfGjRtYu1oEiAaBcDeF0zq7M2",
    "disabled_at": None,
    "UpdateUser.disabled": False,
    "note": "for the garden club",
    "hint": "8mQ2",
    "PersonalToken.name": "the tablet in the greenhouse",
    "NewPersonalToken.name": "the tablet in the greenhouse",
    "CreatePersonalToken.name": "the tablet in the greenhouse",
    "token": "chub_pat_Zk3vJ0q9TqW1n6y8cXo2bR5sLdGfHjKpMtUeAiQxVwY1b4F7k",
    "NewInvite.code": "chub_inv_8mQ2vX7cK4rT9bWn6yPz3LsdHfGjRtYu1oEiAaBcDeF0zq7M2",
    "scopes": ["read", "chat"],
    # companions
    "name": "Mira",
    "description": "A calm botanist in her forties who loves moss, rain and long walks.",
    "appearance": "green eyes, short grey hair",
    "user_appearance": "a tall person in a yellow raincoat",
    "default_outfit": "a linen apron",
    "greeting": "Hello! Mind the ferns.",
    "outfit": "a linen apron over a jumper",
    "location": "the greenhouse",
    "action": "watering the ferns",
    "expression": "smiling",
    # conversations
    "title": "About moss",
    "content": "Good morning! What grows in your garden?",
    "Message.content": TEXT,
    "Message.role": "assistant",
    "NewItem.role": "user",
    "position": 2,
    "revision": 3,
    "alternative": 1,
    "alternatives": 1,
    "edited_at": None,
    "Alternative.number": 1,
    "Alternative.image": None,
    "Alternative.content": TEXT,
    "Response.kind": "reply",
    "AskResponse.kind": "regenerate",
    "ItemUpdated.item": _SAID,
    "Job.position": None,
    "ImageInProgress.position": None,
    "after": 2,
    "last_position": 2,
    "output_text": TEXT,
    "text": TEXT,
    "delta": " The moss by the pond",
    "offset": 13,
    "attempt": 1,
    "event_id": "send-1",
    "Response.status": "completed",
    "Response.error": None,
    "ResponseQueued.response": _NOT_BEGUN,
    "ResponseInProgress.response": _NOT_BEGUN | {"status": "in_progress", "output_text": TEXT[:13]},
    "ResponseFailed.response": _NOT_BEGUN
    | {
        "status": "failed",
        "error": {
            "code": "llm_timeout",
            "message": "The language model did not answer in time. Please try again in a moment.",
        },
    },
    "ResponseCancelled.response": _NOT_BEGUN
    | {"status": "cancelled", "output_text": TEXT[:13], "completed_at": LATER},
    "Sent.message": _SAID,
    "Sent.response": _NOT_BEGUN,
    "ItemAdded.item": _SAID,
    "Response.image_job_id": None,
    "Message.image": None,
    "prompt_tokens": 412,
    "completion_tokens": 24,
    "total_tokens": 436,
    "generate_image": False,
    "conversation_title": "About moss",
    "snippet": "... the moss by the pond has woken up after the rain ...",
    "highlights": [[8, 12]],
    "Picture.sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "LastLine.messages": 1,
    # errors
    "ErrorInfo.retry_after": LEFT_OUT,
    "ErrorInfo.code": "conversation_not_found",
    "ErrorInfo.message": "There is no such conversation. It may have been deleted.",
    "code": "image_server_down",
    "message": "The image server cannot be reached at the moment. Try again in a few seconds.",
    # pictures
    "url": "/api/images/019f8a2c-5b1e-7d3a-9c4f-0a1b2c3d4e08",
    "ImageLink.url": "/api/images/019f8a2c-5b1e-7d3a-9c4f-0a1b2c3d4e08/signed?expires=1795421730&signature=9hLk2vQm",  # noqa: E501 - an address
    "width": 832,
    "height": 1216,
    "bytes": 48_213,
    "original_bytes": 1_402_880,
    "media_type": "image/avif",
    "kind": "generated",
    "Job.kind": "image",
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "prompt": "a calm woman with short grey hair watering ferns in a greenhouse, soft morning light",
    "negative_prompt": "blurry, text",
    "seed": 7,
    "provider": "builtin",
    "model": "painter",
    "sampler": "none",
    "steps": 1,
    "progress": 1.0,
    "ImageInProgress.progress": 0.4,
    "Job.status": "completed",
    "Job.error": None,
    # what is stored
    "total_images": 214,
    "total_bytes": 10_316_544,
    "thumbnail_bytes": 1_204_224,
    "saved_share": 0.964,
    "companion_count": 12,
    "messages": 128,
    "memories": 0,
    "images": 9,
    "jobs_cancelled": 1,
    # webhooks
    "CreateWebhook.url": "https://example.org/hooks/companions",
    "UpdateWebhook.url": "https://example.org/hooks/companions",
    "Webhook.url": "https://example.org/hooks/companions",
    "NewWebhook.url": "https://example.org/hooks/companions",
    "CreateWebhook.description": "tells the garden club",
    "UpdateWebhook.description": "tells the garden club",
    "Webhook.description": "tells the garden club",
    "NewWebhook.description": "tells the garden club",
    "events": ["response.completed", "image.completed"],
    "disabled": False,
    "disabled_reason": None,
    "failing_since": None,
    "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "Delivery.event": "response.completed",
    "Delivery.event_id": "019f8a2c-5b1e-7d3a-9c4f-0a1b2c3d4e97",
    "Delivery.status": "completed",
    "Delivery.status_code": 204,
    "ResponseFailed.error_code": "llm_timeout",
    "Delivery.error": None,
    "Delivery.next_attempt_at": None,
    "attempts": 1,
    # OpenAI's clients
    "CreateChatCompletion.model": MODEL,
    "CreateResponse.model": MODEL,
    "ChatCompletion.model": MODEL,
    "ChatCompletionChunk.model": MODEL,
    "ResponseObject.model": MODEL,
    "ModelObject.id": MODEL,
    "ModelObject.name": "Mira",
    "ChatMessageParam.role": "user",
    "InputMessage.role": "user",
    "AnswerMessage.content": TEXT,
    "ChunkDelta.content": TEXT[:13],
    "ChunkDelta.role": "assistant",
    "ChatCompletion.id": "chatcmpl-019f8a2c5b1e7d3a9c4f0a1b2c3d4e06",
    "ChatCompletionChunk.id": "chatcmpl-019f8a2c5b1e7d3a9c4f0a1b2c3d4e06",
    "created": 1_795_421_730,
    "Choice.finish_reason": "stop",
    "CreateResponse.input": "Good morning! What grows in your garden?",
    "ResponseObject.id": "resp_019f8a2c5b1e7d3a9c4f0a1b2c3d4e06",
    "DeletedResponse.id": "resp_019f8a2c5b1e7d3a9c4f0a1b2c3d4e06",
    "ResponseObject.created_at": 1_795_421_730,
    "ResponseObject.completed_at": 1_795_421_734,
    "ResponseObject.status": "completed",
    "ResponseObject.background": False,
    "ResponseObject.error": None,
    "ResponseObject.incomplete_details": None,
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "previous_response_id": None,
    "temperature": None,
    "top_p": None,
    "OutputMessage.id": "msg_019f8a2c5b1e7d3a9c4f0a1b2c3d4e06",
    "OutputMessage.status": "completed",
    "InputMessage.id": "msg_019f8a2c5b1e7d3a9c4f0a1b2c3d4e06_0",
    "InputText.text": "Good morning! What grows in your garden?",
    "first_id": "msg_019f8a2c5b1e7d3a9c4f0a1b2c3d4e06_0",
    "last_id": "msg_019f8a2c5b1e7d3a9c4f0a1b2c3d4e06_0",
    "input_tokens": 412,
    "output_tokens": 24,
    "has_more": False,
    "ApiError.type": "invalid_request_error",
    "ApiError.code": "model_not_found",
    "ApiError.message": "There is no such companion. It may have been deleted.",
    "ApiError.param": "model",
    "ErrorEvent.status": 404,
    "item_id": "msg_019f8a2c5b1e7d3a9c4f0a1b2c3d4e06",
    "sequence_number": 3,
    # how the hub is
    "KindOfJobs.kind": "reply",
    "queued": 2,
    "oldest_wait_seconds": 1.5,
    "FailedJob.kind": "reply",
    "FailedJob.error_code": "llm_timeout",
    "version": "1.0.0",
    "checks": {
        "database": "pass",
        "broker": "pass",
        "migrations": "pass",
        "storage": "pass",
        "llm": "pass",
        "images": "pass",
    },
    "Health.status": "pass",
    "next_cursor": "MTc5NTQyMTczMDAwMDAwMC4wMTlmOGEyYzViMWU3ZDNhOWM0ZjBhMWIyYzNkNGUwNA",
    "completed_at": LATER,
    "expires_at": FAR,
    "WebSocketTicket.expires_at": "2026-11-23T08:16:00Z",
}

#: The ids of this world, by what they are of.
IDS: dict[str, str] = {
    name: f"019f8a2c-5b1e-7d3a-9c4f-0a1b2c3d4e{number:02d}"
    for number, name in enumerate(
        ("user", "session", "companion", "conversation", "message", "response", "job", "image", "token"), 1
    )
}
OTHER_ID = "019f8a2c-5b1e-7d3a-9c4f-0a1b2c3d4e99"
REQUEST_ID = "019f8a2c5b1e7d3a9c4f0a1b2c3d4e98"

#: What refusals say whose sentence is made where they are raised.
DETAILS: dict[str, str] = {
    "invalid_request": "The body is not as it should be.",
    "common_password": "This password is among the most common ones. Choose another.",
    "not_found": "Check the address; /docs lists all there is.",
    "not_ready": "The server cannot do this at the moment. Try again in a few seconds.",
    "internal_error": "This is an error of the server. Tell its operator the request id.",
    "too_large": "Send less at once.",
    "unsupported_media_type": "Send it with a Content-Type that is taken here.",
    "too_many_requests": "You may ask for 10 pictures in an hour. Try again in 7 min.",
    "too_many_pixels": "Pictures may have up to 50 million pixels. Send a smaller one.",
    "invite_invalid": "It was used, taken back or is too old. Ask for another one.",
    "too_many_webhooks": "One user has at most 20. Delete one that you do not need.",
    "too_many_tokens": "You have 100 tokens. Delete one that is not needed any more.",
    "unsupported_image": "Send a JPEG, PNG or WebP picture.",
    "quota_exceeded": "Your pictures may take 2048 MB. Delete some first.",
    "range_not_satisfiable": "The picture has 48213 bytes.",
    "insufficient_scope": "Use a token with the scope 'write', or sign in.",
}

#: What groups of operations are about.
TAGS: dict[str, str] = {
    "Accounts": "Registering, signing in and out, and one's own account.",
    "Companions": "Making, changing and removing companions.",
    "Webhooks": "Addresses that are told of events, by the Standard Webhooks specification.",
    "OpenAI-compatible": "What OpenAI's clients ask for. A companion is a model; errors have OpenAI's shape.",
    "Archive": "Finding messages again, and taking conversations along.",
    "Conversations": "Talking with companions.",
    "Messages": "What was said: editing it, taking it out, choosing among its texts.",
    "Responses": "Replies on their way.",
    "Images": "Pictures of companions.",
    "Jobs": "Work that was asked for and takes its time.",
    "Operators": "For those who run the hub.",
}

#: What parameters mean that do not say so themselves.
PARAMETERS: dict[str, str] = {
    "model": "The model's id: `companion/` and the companion's.",
    "stream": "Whether to get the events instead, from the beginning.",
}
