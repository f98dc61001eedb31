"""`make pins`: compiles `requirements*.txt` from `pyproject.toml`; versions that are pinned already are kept."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
COMPILE = (
    *(sys.executable, "-m", "uv", "pip", "compile", "--quiet", "pyproject.toml", "--all-extras"),
    *("--universal", "--python-version", "3.11", "--generate-hashes", "--no-emit-index-url"),
    *("--custom-compile-command", "make pins"),
)


def compile_pins(folder: Path, *options: str) -> None:
    """Write `requirements.txt` and `requirements-dev.txt` in `folder`, which has `pyproject.toml`.

    Args:
        folder: where all three are.
        options: more for `uv pip compile`, such as `--upgrade-package reflex`.
    """
    dev = ("--group", "dev", "--constraints", "requirements.txt")
    for file, more in (("requirements.txt", ()), ("requirements-dev.txt", dev)):
        subprocess.run([*COMPILE, *more, *options, "--output-file", file], cwd=folder, check=True, capture_output=True)


if __name__ == "__main__":
    compile_pins(ROOT, *sys.argv[1:])
