"""Start, find and stop the private PostgreSQL of one data folder."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from urllib.parse import quote

from hub.db.embedded import locks, process, sockets
from hub.db.embedded.account import Account, server_account
from hub.db.embedded.cluster import DATABASE, ROLE, Cluster
from hub.db.embedded.errors import EmbeddedPostgresError, EmbeddedPostgresSlowError, explain
from hub.db.embedded.layout import OPEN_OWN_FILE, Layout, read_private
from hub.db.embedded.probe import PORT, State, probe
from hub.db.embedded.programs import Programs, programs_for

_READY_TIMEOUT = 120.0  # seconds; after a crash the server first replays its log
_OTHER_TIMEOUT = 60.0  # seconds for another process's server to become ready, or to be gone
_POLL = 0.01  # seconds, growing to ten times as much: every early knock is a line in the log
_LOG_LIMIT = 1 << 20  # bytes; a longer log is set aside at the next start
_SPACE_FLOOR = 1 << 20  # bytes; below it a silent failure is blamed on the disk

_SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    "max_parallel_workers_per_gather": "0",
    "io_method": "sync",  # no I/O worker processes for a small database
    "max_logical_replication_workers": "0",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",
    "log_checkpoints": "off",
    # Statements and details of errors quote what people wrote: they stay out of the log.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
_THROW_AWAY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class EmbeddedPostgres:
    """The PostgreSQL of one data folder, shared by all hub processes that use the folder.

    The first process to call ``start`` runs the server and owns it; later ones attach. Everything lives in
    ``data_dir/postgres``. ``durable=False`` trades safety against power cuts for speed, for tests only.
    """

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        self._layout = Layout.below(data_dir)
        self._durable = durable
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: sockets.SocketFolder | None = None
        self._dsn = ""
        self._log_start = 0

    @property
    def owned(self) -> bool:
        """True when this object started the server; False when it attached to another process's."""
        return self._process is not None

    @property
    def is_gone(self) -> bool:
        """True when no server lives, whoever started it: time to call ``start`` again."""
        if self._process is not None and self._process.poll() is None:
            return False
        # Free only once the last of the server's processes has ended, so that a start need not wait for it.
        lock_fd = locks.try_lock(self._layout.server_lock)
        if lock_fd is None:
            return False
        os.close(lock_fd)
        return True

    def start(self, *, within: float | None = None) -> str:
        """Start the server, or attach to the one that another process runs, and return its DSN.

        Takes 0.1-0.3 s, the first time 1-4 s. Call it from the main thread: the kernel stops the server when
        the thread that started it ends, which is how it never outlives a killed hub.

        Args:
            within: seconds that a database which is there already has to become ready; as long as a crash
                may need if left out.

        Raises:
            EmbeddedPostgresSlowError: it is not ready by then; nothing is wrong with it so far.
            EmbeddedPostgresError: It cannot run here; the text is one line that says why and what to do.
        """
        if self._process is not None and self._process.poll() is None:
            return self._dsn
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError(
                "EmbeddedPostgres.start() needs the main thread: the server ends with the thread"
            )
        self.stop()  # what is left of a server that ended by itself
        try:
            account = server_account()
            self._make_root(account)
            self._dsn = self._start(account, within)
        except OSError as error:
            raise explain(error, self._layout.root) from error
        return self._dsn

    def stop(self, timeout: float = 8.0) -> None:
        """Stop the server if this object started it; gentle first, but gone within ``timeout`` seconds."""
        if self._process is None:
            return
        # Fast shutdown; immediate shutdown (the next start replays the log); the end.
        for number, share in ((signal.SIGINT, 0.6), (signal.SIGQUIT, 0.3), (signal.SIGKILL, 0.1)):
            self._process.send_signal(number)
            try:
                self._process.wait(timeout * share)
                break
            except subprocess.TimeoutExpired:
                continue
        self._process = None
        if self._socket is not None:
            sockets.discard(self._socket)
            self._socket = None

    def _make_root(self, account: Account) -> None:
        root = self._layout.root
        root.mkdir(parents=True, exist_ok=True)
        if root.stat().st_uid != os.geteuid():
            raise EmbeddedPostgresError(
                f"The database folder {root} belongs to another user. Start the hub as that user,"
                " or choose another data folder."
            )
        # The server's user only passes through: what is inside is closed to everybody else.
        root.chmod(0o711 if account.foreign else 0o700)

    def _start(self, account: Account, within: float | None) -> str:
        lock_fd = self._lock_or_find(account, within)
        if lock_fd is None:
            return self._address(sockets.current(self._layout, account), read_private(self._layout.password))
        try:
            programs = programs_for(account)
            cluster = Cluster(self._layout, account, programs, lock_fd, self._durable)
            password = cluster.prepare()
            self._socket = sockets.make(self._layout, account)
            self._launch(account, programs, self._socket, lock_fd)
        finally:
            os.close(lock_fd)  # from here on the server's processes hold it
        try:
            self._wait_until_ready(self._socket.path, within)
        except BaseException:
            self.stop()
            raise
        return self._address(self._socket.path, password)

    def _lock_or_find(self, account: Account, within: float | None) -> int | None:
        """Return the server's lock, or None when a server is there and ready.

        One that is being made, started or stopped is waited for.
        """
        deadline = time.monotonic() + (within or _OTHER_TIMEOUT)
        while (lock_fd := locks.try_lock(self._layout.server_lock)) is None:
            state = probe(sockets.current(self._layout, account))
            if state is State.READY:
                return None
            if time.monotonic() > deadline:
                if within is not None:
                    raise EmbeddedPostgresSlowError(f"The embedded database is not ready: {state.value}.")
                number = read_private(self._layout.data / "postmaster.pid").partition("\n")[0] or "unknown"
                raise EmbeddedPostgresError(
                    f"Another PostgreSQL uses {self._layout.data} but does not serve ({state.value})."
                    f" End its process {number}, then start the hub again."
                )
            time.sleep(_POLL)
        return lock_fd

    def _launch(
        self, account: Account, programs: Programs, socket: sockets.SocketFolder, lock_fd: int
    ) -> None:
        settings = _SETTINGS | {"unix_socket_directories": socket.setting}
        if not self._durable:
            settings |= _THROW_AWAY
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        log_fd = self._open_log()
        try:
            self._process = process.launch(
                [programs.postgres, "-D", process.HERE, *words],
                account=account,
                folder=self._layout.data,
                lock_fd=lock_fd,
                death_signal=signal.SIGINT,  # a fast, orderly shutdown
                output=log_fd,
            )
        finally:
            os.close(log_fd)

    def _open_log(self) -> int:
        log = self._layout.log
        if log.exists() and log.stat().st_size > _LOG_LIMIT:
            log.replace(log.with_name("server.log.1"))
        fd = os.open(log, OPEN_OWN_FILE | os.O_WRONLY | os.O_APPEND, 0o600)
        self._log_start = os.fstat(fd).st_size
        return fd

    def _wait_until_ready(self, folder: Path, within: float | None) -> None:
        deadline = time.monotonic() + (within or _READY_TIMEOUT)
        pause = _POLL
        while probe(folder) is not State.READY:
            if self._process is None or self._process.poll() is not None:
                raise EmbeddedPostgresError(f"The embedded database did not start: {self._why()}.")
            if time.monotonic() > deadline:
                if within is not None:
                    raise EmbeddedPostgresSlowError("The embedded database is not ready: it recovers.")
                raise EmbeddedPostgresError(
                    f"The embedded database was not ready within {_READY_TIMEOUT:.0f} s: {self._why()}."
                )
            time.sleep(pause)
            pause = min(pause * 1.2, _POLL * 10)

    def _why(self) -> str:
        if shutil.disk_usage(self._layout.root).free < _SPACE_FLOOR:
            return f"the disk of {self._layout.root} is full; free some space and start the hub again"
        with self._layout.log.open("rb") as log:
            words = process.last_words(process.tail(log, self._log_start), self._layout.data)
        return f"{words} (more in {self._layout.log})"

    @staticmethod
    def _address(folder: Path, password: str) -> str:
        return f"postgresql://{ROLE}:{password}@/{DATABASE}?host={quote(str(folder), safe='')}&port={PORT}"
