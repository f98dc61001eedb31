"""The embedded PostgreSQL lets nobody in but the user that runs it, and leaves the folders above it as they are."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from realtime_ui import embedded_paths
from realtime_ui.core.errors import DatabaseUnavailable
from realtime_ui.embedded import EmbeddedPostgres


@contextmanager
def running(folder: Path) -> Iterator[EmbeddedPostgres]:
    """A server with its data there."""
    server = EmbeddedPostgres(folder)
    try:
        yield server
    finally:
        server.stop()


def mode(path: Path) -> int:
    """The permissions of a path."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("length", [0, 120], ids=["short", "too long for a socket"])
def test_only_the_user_that_runs_it_reaches_its_socket(data_dir: Path, length: int) -> None:
    """However long the path is; the folders above are as open as before."""
    parent = data_dir.parent / ("x" * length) if length else data_dir
    parent.mkdir(parents=True, mode=0o711)
    before = {folder: mode(folder) for folder in (parent, *parent.parents)}
    with running(parent / "postgres") as server:
        url = sa.make_url(server.url)
        with sa.create_engine(url, poolclass=sa.NullPool).connect() as connection:
            assert connection.execute(sa.text("SELECT 1")).scalar() == 1
        socket = Path(str(url.query["host"])) / embedded_paths.SOCKET
        assert stat.S_ISSOCK(socket.stat().st_mode)
        assert mode(socket) == 0o700
        # A folder that others may not enter lies between them and the socket.
        assert 0o700 in {mode(folder) for folder in socket.parents[:2]}
        assert (socket.parent == parent / "postgres") is (length == 0)
    assert {folder: mode(folder) for folder in before} == before


def test_a_folder_that_somebody_else_made_for_the_socket_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name can be guessed, so whose it is counts: a link, or a folder that others may enter, is refused."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "short"))
    monkeypatch.setattr(embedded_paths, "socket_name_length_ok", lambda path: False)
    monkeypatch.setattr(embedded_paths, "_owner", os.geteuid)
    (tmp_path / "short").mkdir()
    data = tmp_path / "data"
    data.mkdir()
    (data / "postgresql.conf").write_text("")
    inner = embedded_paths.socket_folder(data, tmp_path)
    assert mode(inner.parent) == 0o700
    assert embedded_paths.socket_folder(data, tmp_path) == inner
    assert (data / "postgresql.conf").read_text().count("unix_socket_permissions") == 1
    inner.parent.chmod(0o777)
    with pytest.raises(DatabaseUnavailable, match="belongs to somebody else"):
        embedded_paths.socket_folder(data, tmp_path)
    inner.rmdir()
    inner.parent.rmdir()
    inner.parent.symlink_to(tmp_path)
    with pytest.raises(DatabaseUnavailable, match="belongs to somebody else"):
        embedded_paths.socket_folder(data, tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="PostgreSQL runs as another user only where root starts it")
def test_root_is_told_which_folder_is_closed_and_nothing_is_opened(data_dir: Path) -> None:
    """In words, with what to do about it."""
    data_dir.mkdir(mode=0o700)
    with pytest.raises(DatabaseUnavailable) as caught:
        EmbeddedPostgres(data_dir / "postgres")
    assert str(data_dir) in caught.value.detail
    assert f"chmod o+x {data_dir}" in str(caught.value.remedy)
    assert mode(data_dir) == 0o700
