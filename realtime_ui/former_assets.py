"""The scripts and styles of former builds, for pages that were open when a new version was deployed.

An open page asks for its scripts one by one, as somebody navigates. Their names contain a hash of their content, so
those of several builds can lie in one folder: each start copies the assets of its own build there and removes what
has not been part of the running build for some days.
"""

import json
import os
import shutil
from pathlib import Path

from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

PREFIX = "/assets/"
DAY_S = 86_400
_CURRENT = ".current"
"""The file with the names of the assets that were in use at the last start."""


def keep_assets(built: Path, store: Path, *, days: float, now: float) -> None:
    """Copy the assets of the current build to the store, and remove those that were replaced too long ago.

    Args:
        built: the folder with the current build's assets.
        store: where those of former builds are.
        days: how long a file is kept after the last start that had it in its build.
        now: in s since the Unix epoch.

    Raises:
        OSError: the store cannot be written.
    """
    store.mkdir(parents=True, exist_ok=True)
    names = {path.name for path in built.iterdir() if path.is_file() and path.suffix != ".gz"}
    for name in names:
        if not (store / name).exists():
            partial = store / f".{name}.{os.getpid()}"
            shutil.copyfile(built / name, partial)
            partial.replace(store / name)
    marker = store / _CURRENT
    in_use = {*names, *(json.loads(marker.read_text()) if marker.exists() else [])}
    for path in store.iterdir():
        if path.name in in_use:
            os.utime(path, (now, now))  # replaced only now, however long ago it was built
        elif path.name != _CURRENT and path.stat().st_mtime < now - days * DAY_S:
            path.unlink(missing_ok=True)
    marker.write_text(json.dumps(sorted(names)))


class FormerAssets:
    """An ASGI wrapper that serves the assets which only former builds had; all else it passes on.

    Args:
        app: what serves the current build.
        built: the folder with the current build's assets.
        store: where `keep_assets` keeps those of former builds; it need not exist.
    """

    def __init__(self, app: ASGIApp, built: Path, store: Path) -> None:
        self._app = app
        former = _names(store) - _names(built)
        self._paths = {f"{PREFIX}{name}" for name in former}
        self._files = StaticFiles(directory=store, check_dir=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or pass on."""
        if scope["type"] == "http" and scope.get("path") in self._paths and scope["method"] in ("GET", "HEAD"):
            name = scope["path"].removeprefix(PREFIX)
            await self._files({**scope, "path": f"/{name}", "root_path": ""}, receive, send)
        else:
            await self._app(scope, receive, send)


def _names(folder: Path) -> set[str]:
    if not folder.is_dir():
        return set()
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}
