"""A PostgreSQL of a test's own, which goes away and comes back under the same address."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from realtime_ui.embedded import EmbeddedPostgres
from realtime_ui.persistence.migrate import upgrade


class OwnPostgres(EmbeddedPostgres):
    """Stops and starts as the test says."""

    @classmethod
    @contextmanager
    def migrated(cls) -> Iterator["OwnPostgres"]:
        """One that runs, with the tables; stopped and removed after the block."""
        with tempfile.TemporaryDirectory(prefix="rui-", ignore_cleanup_errors=True) as folder:
            Path(folder).chmod(0o711)  # where root runs the tests, PostgreSQL runs as another user
            server = cls(Path(folder) / "pg")
            try:
                upgrade(server.url)
                yield server
            finally:
                server.stop()

    @property
    def pid(self) -> int:
        """The id of its first process."""
        return self._server.get_postmaster_info().pid

    def start(self) -> None:
        """Run again after `stop`."""
        self._server.start()
