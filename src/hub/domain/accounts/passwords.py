"""Password hashes: argon2id, made and checked off the event loop, four at once at most.

Accounts that came from the original have bcrypt hashes, accepted until the first login replaces them.
"""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor

from pwdlib.hashers.argon2 import Argon2Hasher
from pwdlib.hashers.bcrypt import BcryptHasher

# 19 MiB, 2 passes, 1 lane: the first recommendation of the OWASP Password Storage Cheat Sheet.
_hasher = Argon2Hasher(memory_cost=19 * 1024, time_cost=2, parallelism=1)
_bcrypt = BcryptHasher()
_threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="password")

#: The hash that a login of nobody is checked against, so that it takes as long as one of somebody: as
#: ``_hasher`` makes them, made once, since every start would wait for it.
NOBODY = "$argon2id$v=19$m=19456,t=2,p=1$PVoQ3uXB6doUFmxqlezQFQ$TRXtL3Z/75V7/8nwzZXmYJzL+GZCyzCnEP2LNubzoK8"

#: Stored for an account whose password is not known in any form that could be checked: none is right.
UNUSABLE = "!"

# Up to 14 rounds, which take about a second; what takes longer would only keep the threads busy.
_BCRYPT = re.compile(r"\$2[aby]\$(?:0[4-9]|1[0-4])\$[./A-Za-z0-9]{53}\Z")
#: bcrypt reads no further, and bcryptjs, which made the hashes, says nothing of it.
_BCRYPT_BYTES = 72

#: Passwords of eight and more characters that lead every list of leaked ones.
COMMON = frozenset(
    """
    00000000 11111111 12121212 12341234 12344321 12345678 123123123 123321123 123456789 1234567890
    0123456789 123456abc 123qweasd 147258369 1q2w3e4r 1q2w3e4r5t 1qaz2wsx 1qazxsw2 22222222 55555555
    66666666 77777777 789456123 87654321 88888888 987654321 99999999 0987654321 a1b2c3d4 aa123456
    abc12345 abcd1234 abcdefgh abcdefg1 access14 adidas123 administrator admin123 admin1234 adminadmin
    alexander babygirl baseball basketball benjamin blink182 brooklyn butterfly caroline champion
    charlie1 chelsea1 chocolate christian christopher computer corvette creative danielle diamond1
    dolphins einstein elizabeth facebook fernando fireball football football1 forever1 freedom1
    garfield gateway1 godzilla goodluck hello123 hellohello hercules iloveyou iloveyou1 iloveyou2
    internet isabella jennifer jessica1 jonathan jordan23 kawasaki kimberly lakers24 leonardo letmein1
    letmein123 lifehack liverpool liverpool1 lovelove loveyou1 marlboro master123 maverick mercedes
    michael1 michelle midnight minecraft monkey123 mustang1 mypassword naruto123 nicholas nintendo
    november pa55word pa55w0rd pass1234 passpass passw0rd passw0rd1 password password! password1
    password1! password12 password123 password1234 passwort patricia pokemon1 princess princess1
    q1w2e3r4 q1w2e3r4t5 qazwsxedc qwer1234 qwert123 qwerty12 qwerty123 qwerty1234 qwertyui qwertyuiop
    realmadrid rockstar rockyou1 samantha samsung1 scorpion secret123 september shadow123 slipknot
    snowball spiderman starwars steelers stephanie summer123 sunshine sunshine1 superman superstar
    swordfish testtest test1234 test12345 trustno1 victoria volleyball welcome1 welcome123 whatever
    william1 xxxxxxxx yankees1 zaq12wsx zxcvbnm1 zxcvbnm123 changeme changeme1 changeme123
    """.split()  # noqa: SIM905 - two hundred quoted words would be no easier to read
)


async def hash_password(password: str) -> str:
    """Return the hash to store; takes about 30 ms of one core."""
    return await asyncio.get_running_loop().run_in_executor(_threads, _hasher.hash, password)


async def verify_password(password: str, stored: str | None) -> bool:
    """Tell whether the password is the one hashed; ``None`` takes as long and is never right."""
    return await asyncio.get_running_loop().run_in_executor(_threads, _verify, password, stored)


async def renew_hash(password: str, stored: str) -> str | None:
    """Return the hash to store instead, or None when the stored one is as it should be."""
    if _hasher.identify(stored) and not _hasher.check_needs_rehash(stored):
        return None
    return await hash_password(password)


def is_bcrypt(stored: str) -> bool:
    """Tell whether this is a bcrypt hash that :func:`verify_password` can check."""
    return _BCRYPT.match(stored) is not None


def _verify(password: str, stored: str | None) -> bool:
    if stored is not None and is_bcrypt(stored):
        return _bcrypt.verify(password.encode()[:_BCRYPT_BYTES], stored)
    is_known = stored is not None and _hasher.identify(stored)
    matches = _hasher.verify(password, stored if stored and is_known else NOBODY)
    return matches and is_known


def is_common(password: str) -> bool:
    """Tell whether a password is among the first that an attacker would try."""
    return password.lower() in COMMON
