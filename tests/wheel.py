"""The package as others get it: built, and installed into an environment of its own."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.app import ROOT

UV = (sys.executable, "-m", "uv")


@dataclass(frozen=True)
class Installed:
    """A virtual environment with the package in it, and nothing of the repository."""

    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    def run(self, *command: str, cwd: Path | None = None, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run one of its commands to the end; `command` begins with a name in its `bin`."""
        clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return subprocess.run(
            [str(self.folder / "bin" / command[0]), *command[1:]],
            cwd=cwd or self.folder,
            env={**clean, **environment},
            capture_output=True,
            text=True,
            check=False,
        )


def build(folder: Path) -> tuple[Path, Path]:
    """Build the source distribution, and from it the wheel; returns both."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    [source], [wheel] = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return source, wheel


def install(folder: Path, wheel: Path, extras: str = "") -> Installed:
    """Make an environment and install the wheel, with dependencies of the pinned versions."""
    subprocess.run([*UV, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True, capture_output=True)
    wanted = f"realtime-ui{extras} @ {wheel.as_uri()}"
    pins = str(ROOT / "requirements.txt")
    command = [*UV, "pip", "install", "--quiet", "--python", str(folder), "--constraints", pins, wanted]
    subprocess.run(command, check=True, capture_output=True)
    return Installed(folder)
