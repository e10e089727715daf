"""Passwords that are checked for nobody."""

from __future__ import annotations

from hub.domain.accounts.passwords import NOBODY, renew_hash, verify_password


async def test_a_login_of_nobody_takes_as_long_as_one_of_somebody() -> None:
    assert await renew_hash("any password", NOBODY) is None, "made with the same costs as those of people"


async def test_nobody_has_no_password() -> None:
    for password in ("a password that nobody has", "", NOBODY):
        assert not await verify_password(password, None)
