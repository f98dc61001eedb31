"""Installs programs that tests need and PyPI does not have, from Debian's packages, where that is possible."""

import os
import shutil
import subprocess
from collections.abc import Sequence


def find(*names: str) -> str | None:
    """The path of the first of these programs that is on PATH, or None."""
    return next((path for name in names if (path := shutil.which(name))), None)


def ensure(names: Sequence[str], package: str) -> str | None:
    """The path of a program, whose package is installed now if it must be and can be.

    Args:
        names: under which the program may be on PATH.
        package: Debian's package that brings it. Installing takes apt-get and root.

    Returns:
        the path, or None where there is none and it cannot be installed here.
    """
    if (path := find(*names)) is None and shutil.which("apt-get") and os.geteuid() == 0:
        # Tests start the programs themselves, so no service of the package is started.
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "SYSTEMD_OFFLINE": "1"}
        wait = ["-o", "DPkg::Lock::Timeout=300"]
        for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *wait, package]):
            subprocess.run(["apt-get", *command], check=False, stdout=subprocess.DEVNULL, env=environment)
        path = find(*names)
    return path
