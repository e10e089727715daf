"""Become the server's user, ask to die with the parent, then turn into the program.

Run as a file by ``process.launch`` (``python -I -S launch.py UID GID SIGNAL PARENT PROGRAM ARGS...``), never
imported. It imports little, so that it costs a few hundredths of a second, and nothing of the hub: the new
user may not be able to read it. The working folder was entered before, with the hub's rights.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38
SIGINT, SIG_DFL = 2, None  # the signal module would double the start-up time


def main() -> None:
    uid, gid, death_signal, parent = (int(word) for word in sys.argv[1:5])
    program = sys.argv[5:]
    libc = ctypes.CDLL(None, use_errno=True)
    if uid != os.geteuid():
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    os.umask(0o077)
    libc.signal(SIGINT, SIG_DFL)  # a background job of sh ignores it, and with it a death too early
    # After the change of user, which would clear the first of the two.
    for option, value in ((PR_SET_PDEATHSIG, death_signal), (PR_SET_NO_NEW_PRIVS, 1)):
        if libc.prctl(option, value, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), f"prctl {option} failed")
    if os.getppid() != parent:  # it died before the kernel knew our wish
        raise SystemExit(1)
    os.execv(program[0], program)  # noqa: S606  # no shell is the point


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        raise SystemExit(f"launch: FATAL:  {error}") from None
