"""The distribution: what is in it, and what an environment with nothing else can do with it."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import psycopg
import pytest
from alembic.script import ScriptDirectory

from realtime_ui.persistence.migrate import alembic_config
from realtime_ui.version import __version__
from tests.app import ROOT
from tests.wheel import UV, Installed, build, install

SAMPLE = """
import realtime_ui
from realtime_ui import EventClient

async def emit() -> None:
    async with EventClient("http://localhost:3000", "key") as client:
        await client.emit("project.updated", {"projectId": "a"})
        await client.emit(5, {"projectId": "a"})
        client.no_such_method()
"""


@pytest.fixture(scope="module")
def distribution(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The source distribution and the wheel."""
    return build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def core(distribution: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """An environment with the package and no extra."""
    return install(tmp_path_factory.mktemp("core") / "venv", distribution[1])


@pytest.fixture(scope="module")
def full(distribution: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """An environment with all extras."""
    return install(tmp_path_factory.mktemp("full") / "venv", distribution[1], "[all]")


def test_the_wheel_has_all_that_the_package_reads(distribution: tuple[Path, Path]) -> None:
    """Every file of the package and every migration, under one version."""
    source, wheel = distribution
    packed = set(zipfile.ZipFile(wheel).namelist())
    kept = {".py", ".js", ".jsx", ".css", ".mako", ".typed"}
    for folder, place in ((ROOT / "realtime_ui", "realtime_ui"), (ROOT / "alembic", "realtime_ui/alembic")):
        files = {path for path in folder.rglob("*") if path.suffix in kept and "__pycache__" not in path.parts}
        assert files
        assert {f"{place}/{path.relative_to(folder)}" for path in files} <= packed
    assert f"realtime_ui-{__version__}.dist-info/licenses/LICENSE" in packed
    with tarfile.open(source) as archive:
        assert f"realtime_ui-{__version__}/alembic.ini" in archive.getnames()


def test_dependencies_of_all_extras_agree(full: Installed) -> None:
    """As `pip check` sees it."""
    command = [*UV, "pip", "check", "--python", str(full.folder)]
    found = subprocess.run(command, check=False, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr


def test_the_installed_command_migrates_a_database(full: Installed, empty_database_url: str) -> None:
    """With the migrations that came in the wheel."""
    ran = full.run("realtime-ui", "migrate", DATABASE_URL=empty_database_url)
    assert ran.returncode == 0, ran.stderr
    with psycopg.connect(empty_database_url.replace("+psycopg", "")) as connection:
        newest = ScriptDirectory.from_config(alembic_config(empty_database_url)).get_current_head()
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (newest,)


def test_a_program_with_the_core_alone_emits_and_is_told_what_the_rest_needs(core: Installed) -> None:
    """`EventClient` loads; everything else names the extra in one sentence."""
    assert core.run("python", "-c", "from realtime_ui import EventClient").stderr == ""
    asked = core.run("python", "-c", "from realtime_ui import install")
    assert "run: pip install 'realtime-ui[server]'" in asked.stderr.splitlines()[-1]
    command = core.run("realtime-ui", "serve")
    assert command.returncode == 1
    assert command.stderr.strip().endswith("run: pip install 'realtime-ui[server]'")
    assert len(command.stderr.splitlines()) == 1


def test_a_type_checker_reads_the_installed_package(core: Installed, tmp_path: Path) -> None:
    """Strict, it finds what is wrong in a program that uses it, and nothing else."""
    sample = tmp_path / "sample.py"
    sample.write_text(SAMPLE)
    ran = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(core.python), sample.name],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    errors = [line.partition(": error: ")[2] for line in ran.stdout.splitlines() if ": error: " in line]
    assert len(errors) == 2, ran.stdout
    assert 'Argument 1 to "emit"' in errors[0]
    assert '"EventClient" has no attribute "no_such_method"' in errors[1]
