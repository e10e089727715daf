"""The text of tokens: what it holds, and that a mistyped one is known without asking anybody."""

from __future__ import annotations

import re
import string
import zlib
from datetime import timedelta

import pytest

from hub.core.redaction import scrub
from hub.core.settings import Settings
from hub.domain.accounts.errors import NotSignedInError
from hub.domain.accounts.service import AccountService
from hub.domain.accounts.token_text import digest, hint_of, may_be_real, new_personal_token, new_secret
from hub.domain.limits.service import Limits

_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase


def test_a_personal_token_has_a_prefix_256_random_bits_and_a_checksum() -> None:
    tokens = {new_personal_token() for _ in range(200)}
    assert len(tokens) == 200
    for token in tokens:
        assert re.fullmatch(r"chub_pat_[A-Za-z0-9_-]{43}[0-9A-Za-z]{6}", token)
        number = 0
        for digit in token[-6:]:
            number = number * 62 + _DIGITS.index(digit)
        assert number == zlib.crc32(token[:-6].encode())
        assert may_be_real(token)
        assert hint_of(token) == token[-4:]


def test_one_wrong_character_anywhere_is_known() -> None:
    token = new_personal_token()
    for place in range(len("chub_pat_"), len(token)):
        wrong = "x" if token[place] != "x" else "y"
        assert not may_be_real(token[:place] + wrong + token[place + 1 :]), place
    for other in (token[:-1], token + "0", token + "\n", "chub_pat_", token.replace("_pat_", "_pat_é")):
        assert not may_be_real(other)


def test_a_sign_in_is_never_taken_for_a_mistyped_personal_token() -> None:
    for _ in range(200):
        assert may_be_real(new_secret("session"))
    assert may_be_real("chub_0123")


async def test_a_mistyped_token_is_refused_without_a_database() -> None:
    accounts = AccountService(token_life=timedelta(days=1), limits=Limits(Settings()))
    token = new_personal_token()
    with pytest.raises(NotSignedInError):
        await accounts.identify(token[:-1] + ("x" if token[-1] != "x" else "y"))
    with pytest.raises(RuntimeError, match="pool"):  # while this one would be looked up
        await accounts.identify(token)


def test_what_is_kept_does_not_tell_the_token() -> None:
    token = new_personal_token()
    assert len(digest(token)) == 32
    assert token.encode() not in digest(token)
    digest("\ud800")  # whatever a header holds


@pytest.mark.parametrize("make", [new_personal_token, lambda: new_secret("invite")])
def test_logs_lose_every_kind(make: object) -> None:
    assert callable(make)
    token = make()
    assert token not in scrub(f"who sent {token}, and why?")
    assert "and why?" in scrub(f"who sent {token}, and why?")
