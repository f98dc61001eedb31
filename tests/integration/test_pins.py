"""The pinned requirements are those that `pyproject.toml` asks for."""

import shutil
from pathlib import Path

from tests.app import ROOT
from tests.pins import compile_pins


def test_compiling_the_pins_again_changes_nothing(tmp_path: Path) -> None:
    """The versions that are pinned still satisfy every range, and no requirement is missing or left over."""
    for name in ("pyproject.toml", "requirements.txt", "requirements-dev.txt"):
        shutil.copy(ROOT / name, tmp_path)
    compile_pins(tmp_path)
    for name in ("requirements.txt", "requirements-dev.txt"):
        assert (tmp_path / name).read_text() == (ROOT / name).read_text()


def test_the_pins_name_no_index() -> None:
    """They install from whatever index a machine uses."""
    for name in ("requirements.txt", "requirements-dev.txt"):
        lines = (ROOT / name).read_text().splitlines()
        assert [
            line for line in lines if "://" in line or (line.lstrip().startswith("--") and "--hash=" not in line)
        ] == []
