"""A private RabbitMQ node on loopback, made of the system's rabbitmq-server, for one test run."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pika
from pika.exceptions import AMQPError

from tests.services.leash import Leashed
from tests.services.ports import free_ports

INSTALL = "apt-get update && apt-get install -y --no-install-recommends rabbitmq-server"

# Debian's own programs first: the ones on PATH are wrappers that insist on the user `rabbitmq`.
_FOLDERS = ["/usr/lib/rabbitmq/bin", "/opt/homebrew/opt/rabbitmq/sbin", os.environ.get("PATH", os.defpath)]
_SAMPLE = Path(__file__).parents[2] / "deploy" / "rabbitmq" / "rabbitmq.conf"  # tested by being used
_START_SECONDS = 90.0
_STOP_SECONDS = 20.0
_ESTABLISHED = "01"


def find_server() -> str | None:
    """Return the path of the rabbitmq-server program, or None where it is not installed."""
    return shutil.which("rabbitmq-server", path=os.pathsep.join(_FOLDERS))


class RabbitMQNode:
    """One node with its own folder, ports, name and port mapper; it keeps its data when restarted.

    Raises:
        FileNotFoundError: rabbitmq-server is not installed.
    """

    def __init__(self, folder: Path) -> None:
        server = find_server()
        if server is None:
            raise FileNotFoundError(f"rabbitmq-server is not installed; install it with: {INSTALL}")
        self.folder = folder
        self.port, self._dist_port, self._epmd_port = free_ports(3)
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}/%2F"
        self._server = server
        self._epmd: Leashed | None = None
        self._node: Leashed | None = None

    @property
    def pid(self) -> int:
        """The process id of the running node."""
        assert self._node is not None
        return self._node.pid

    def start(self) -> None:
        """Start the node and return when it answers (about 5 s).

        Raises:
            RuntimeError: it ended, or did not answer in time; the text holds the end of its log.
        """
        env = self._environment()
        if self._epmd is None or not self._epmd.running:
            # With a port mapper of our own none is left running in the background.
            mapper = shutil.which("epmd") or "epmd"
            command = [mapper, "-port", str(self._epmd_port), "-address", "127.0.0.1"]
            self._epmd = Leashed(command, log=self.folder / "epmd.log", env=env)
        self._node = Leashed([self._server], log=self.folder / "node.log", env=env)
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if not self._node.running or time.monotonic() > deadline:
                self.kill()
                tail = self._node.log.read_text(errors="replace")[-3000:]
                raise RuntimeError(f"RabbitMQ did not start:\n{tail}")
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop the node in good order, and the port mapper with it."""
        if self._node is not None:
            self._node.signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._node.wait(_STOP_SECONDS)
            self._node.end()
        if self._epmd is not None:
            self._epmd.end()

    def restart(self) -> None:
        """Stop in good order and start again, on the same ports with the same data."""
        self.stop()
        self.start()

    def kill(self) -> None:
        """End the node at once, as ``kill -9`` or a power cut would."""
        if self._node is not None:
            self._node.end()

    def pause(self) -> None:
        """Freeze the node: its sockets stay open and nothing answers."""
        assert self._node is not None
        self._node.signal(signal.SIGSTOP)
        threads = Path(f"/proc/{self._node.pid}/task")
        deadline = time.monotonic() + _STOP_SECONDS
        while not all(_is_stopped(each) for each in threads.iterdir()):  # each one stops on its own
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def resume(self) -> None:
        """Let a frozen node go on."""
        assert self._node is not None
        self._node.signal(signal.SIGCONT)

    def raise_alarm(self) -> None:
        """Let the node find that it is low on memory: it takes no more messages (about 2 s)."""
        self._control("set_vm_memory_high_watermark", "absolute", "1MB")

    def clear_alarm(self) -> None:
        """Let the node find that it has memory again (about 2 s)."""
        self._control("set_vm_memory_high_watermark", "0.4")

    def purge(self, *queues: str) -> None:
        """Drop the waiting messages of these queues; one that does not exist is left alone."""
        for queue in queues:
            with pika.BlockingConnection(pika.URLParameters(self.url)) as connection:
                try:
                    connection.channel().queue_purge(queue)
                except AMQPError:
                    continue

    def delete(self, *queues: str) -> None:
        """Remove these queues with all they hold."""
        with pika.BlockingConnection(pika.URLParameters(self.url)) as connection:
            for queue in queues:
                connection.channel().queue_delete(queue)

    def put(self, queue: str, *bodies: bytes) -> None:
        """Put messages of any content on a queue that exists."""
        with pika.BlockingConnection(pika.URLParameters(self.url)) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            for body in bodies:
                channel.basic_publish("", queue, body, mandatory=True)

    def drop_delivery(self, queue: str) -> bool:
        """Take a message as a worker would that dies with it; False when there is none."""
        with pika.BlockingConnection(pika.URLParameters(self.url)) as connection:
            return connection.channel().basic_get(queue)[0] is not None

    def waiting(self, queue: str) -> int | None:
        """Return how many messages wait in a queue, None where it does not exist."""
        with pika.BlockingConnection(pika.URLParameters(self.url)) as connection:
            try:
                counted: int = connection.channel().queue_declare(queue, passive=True).method.message_count
            except AMQPError:
                return None
            return counted

    def list_connections(self) -> list[int]:
        """Return the clients' port numbers of all open connections, as the kernel sees them (Linux)."""
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
        rows = [line.split() for line in lines]
        mine = f"0100007F:{self.port:04X}"
        return [int(row[2].split(":")[1], 16) for row in rows if row[1] == mine and row[3] == _ESTABLISHED]

    def _control(self, *arguments: str) -> None:
        program = shutil.which("rabbitmqctl", path=os.pathsep.join(_FOLDERS))
        assert program is not None
        command = [program, "-q", *arguments]
        subprocess.run(command, env=self._environment(), check=True, capture_output=True, timeout=60)

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()  # pika would log failures
            pika.BlockingConnection(pika.URLParameters(self.url)).close()
        except (AMQPError, OSError):
            return False
        return True

    def _environment(self) -> dict[str, str]:
        config = self.folder / "rabbitmq.conf"
        sample = [line for line in _SAMPLE.read_text().splitlines() if "disk_free_limit" not in line]
        own = [f"listeners.tcp.1 = 127.0.0.1:{self.port}", "disk_free_limit.absolute = 50MB"]
        config.write_text("\n".join([*sample, *own, ""]))
        plugins = self.folder / "enabled_plugins"
        plugins.write_text("[].\n")
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
        return kept | {
            "HOME": str(self.folder),  # the Erlang cookie is made here
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"hub-test-{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "none"),
            "RABBITMQ_CONFIG_FILE": str(config),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_PID_FILE": str(self.folder / "node.pid"),
            "RABBITMQ_SCHEDULER_BIND_TYPE": "u",  # other processes need the cores too
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            # The server's script then becomes the Erlang VM, which handles SIGTERM itself.
            "RUNNING_UNDER_SYSTEMD": "true",
        }


def _is_stopped(thread: Path) -> bool:
    return (thread / "stat").read_text().rpartition(")")[2].split()[0] == "T"
