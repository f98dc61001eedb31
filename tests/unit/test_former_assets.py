"""The assets of former builds: kept for some days, served beside the current ones."""

from pathlib import Path

import httpx
import pytest
from starlette.responses import PlainTextResponse

from realtime_ui.former_assets import DAY_S, FormerAssets, keep_assets


def build(folder: Path, *names: str) -> Path:
    """A folder with assets, in place of what was there."""
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for name in names:
        (folder / name).write_text(f"// {name}")
    return folder


def stored(store: Path) -> set[str]:
    """The assets in the store."""
    return {path.name for path in store.iterdir() if not path.name.startswith(".")}


def test_assets_are_kept_for_days_after_they_were_replaced(tmp_path: Path) -> None:
    """However long they had been in use before; compressed copies are left out."""
    built, store, now = tmp_path / "built", tmp_path / "data" / "assets", 1_000_000.0
    keep_assets(build(built, "root-1.js", "root-1.js.gz", "style-1.css"), store, days=7, now=now)
    assert stored(store) == {"root-1.js", "style-1.css"}
    now += 100 * DAY_S
    keep_assets(build(built, "root-2.js", "style-1.css"), store, days=7, now=now)
    assert stored(store) == {"root-1.js", "root-2.js", "style-1.css"}
    now += 6 * DAY_S
    keep_assets(built, store, days=7, now=now)
    assert "root-1.js" in stored(store)
    now += 2 * DAY_S
    keep_assets(built, store, days=7, now=now)
    assert stored(store) == {"root-2.js", "style-1.css"}
    assert (store / "root-2.js").read_text() == "// root-2.js"


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("GET", "/assets/root-1.js", 200, "// root-1.js"),
        ("GET", "/assets/root-2.js", 200, "current"),
        ("GET", "/assets/root-3.js", 200, "current"),
        ("GET", "/root-1.js", 200, "current"),
        ("GET", "/assets/.current", 200, "current"),
        ("GET", "/assets/../root-1.js", 200, "current"),
        ("POST", "/assets/root-1.js", 200, "current"),
    ],
)
async def test_what_only_a_former_build_had_is_served_from_the_store(
    tmp_path: Path, method: str, path: str, status: int, text: str
) -> None:
    """All else goes to the current build's server."""
    built, store = tmp_path / "built", tmp_path / "assets"
    keep_assets(build(built, "root-1.js"), store, days=7, now=0)
    keep_assets(build(built, "root-2.js"), store, days=7, now=1)
    app = FormerAssets(PlainTextResponse("current"), built, store)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app.test") as http:
        response = await http.request(method, path)
    assert (response.status_code, response.text) == (status, text)
    if "root-1" in response.text:
        assert response.headers["content-type"].startswith("text/javascript")


async def test_without_a_store_all_goes_to_the_current_build(tmp_path: Path) -> None:
    """Its folder could not be written, or the app was started in another way."""
    app = FormerAssets(PlainTextResponse("current"), build(tmp_path / "built"), tmp_path / "nowhere")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app.test") as http:
        assert (await http.get("/assets/root-1.js")).text == "current"
