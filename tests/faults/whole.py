"""What must be true of the scenes and pictures of a conversation in which everything has ended."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from hub.storage.layout import Family
from tests.faults.cluster import Cluster, action_of, number_of, place_of

_REPLIES = """
SELECT responses.id, responses.status, asked.content, said.id AS message_id, said.image_id,
    scenes.location, scenes.action, scenes.id AS scene_id,
    (SELECT array_agg(jobs.status) FROM jobs WHERE kind = 'scene' AND subject_id = responses.id) AS readings,
    (SELECT count(*) FROM image_requests WHERE response_id = responses.id) AS requests
FROM responses JOIN messages AS asked ON asked.id = request_message_id
LEFT JOIN messages AS said ON said.response_id = responses.id
LEFT JOIN scenes ON scenes.message_id = said.id WHERE responses.conversation_id = $1
AND NOT EXISTS (SELECT FROM message_alternatives AS kept JOIN messages AS shown ON shown.id = kept.message_id
    WHERE kept.response_id = responses.id AND number <> alternative)
"""
_PICTURES = """
SELECT jobs.status, jobs.error_code, jobs.error_message, jobs.result ->> 'image_id' AS result_id,
    said.image_id, images.id AS stored_id, images.companion_id, sha256,
    recipe -> 'scene' ->> 'location' AS place,
    asked.content, (SELECT count(*) FROM images AS same
        WHERE same.recipe ->> 'seed' = image_requests.seed::text) AS stored
FROM image_requests JOIN jobs USING (id) JOIN responses ON responses.id = image_requests.response_id
JOIN messages AS asked ON asked.id = request_message_id
LEFT JOIN messages AS said ON said.response_id = responses.id
LEFT JOIN images ON images.id::text = jobs.result ->> 'image_id'
WHERE image_requests.conversation_id = $1
"""
_NOBODYS = """
SELECT images.id FROM images WHERE kind = 'generated' AND (SELECT count(*) FROM jobs
    WHERE status = 'completed' AND jobs.result ->> 'image_id' = images.id::text) <> 1
"""


async def judge_whole(cluster: Cluster, conversation_id: str, painted: Collection[str]) -> None:
    """Look at every reply's scene and picture.

    Args:
        cluster: whose database and files.
        conversation_id: which conversation.
        painted: the messages that a picture was asked for with.

    Raises:
        AssertionError: a promise was broken.
    """
    database = cluster.database
    for reply in await database.fetch(_REPLIES, UUID(conversation_id)):
        _judge_reply(dict(reply), painted)
    for picture in await database.fetch(_PICTURES, UUID(conversation_id)):
        _judge_picture(cluster, dict(picture))
    nobodys = await database.fetch(_NOBODYS)
    assert not nobodys, nobodys


def _judge_reply(reply: dict[str, Any], painted: Collection[str]) -> None:
    if reply["status"] != "completed":
        assert (reply["scene_id"], reply["readings"], reply["requests"]) == (None, None, 0), reply
        return
    number = number_of(reply["content"])
    assert reply["readings"] == ["completed"], reply
    assert (reply["location"], reply["action"]) == (place_of(number), action_of(number)), reply
    assert reply["requests"] == (reply["content"] in painted), reply


def _judge_picture(cluster: Cluster, picture: dict[str, Any]) -> None:
    if picture["status"] != "completed":
        assert (picture["status"], picture["stored"], picture["image_id"]) == ("failed", 0, None), picture
        assert all((picture["error_code"], picture["error_message"])), picture
        return
    assert picture["stored"] == 1, picture
    assert str(picture["image_id"]) == picture["result_id"] == str(picture["stored_id"]), picture
    assert picture["place"] == place_of(number_of(picture["content"])), picture
    family = Family(picture["companion_id"], "generated", picture["sha256"])
    for thumb in (False, True):
        assert family.file(cluster.data_dir, "image/avif", thumb=thumb).is_file(), picture
