"""A Chromium on a project's page, behind a network of its own, which tells every row that it shows."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import psutil
from playwright.async_api import Page, Playwright

from tests import chromium
from tests.chaos.watcher import Shown
from tests.proxy import Proxy

OPEN_MS = 60_000

# Tells rows in the order in which they appear. A list that was emptied, or made anew, counts as another list.
OBSERVE = """
(() => {
  let list = 0, log = null, empty = true;
  const rowsOf = (node) =>
    node.nodeType === 1 ? [node, ...node.querySelectorAll('[data-seq]')].filter((row) => row.dataset.seq) : [];
  new MutationObserver((changes) => {
    const now = document.querySelector('.rt-feed [role=log]');
    const seqs = changes.flatMap((change) => [...change.addedNodes].flatMap(rowsOf)).map((row) => +row.dataset.seq);
    if (seqs.length && (now !== log || empty)) list += 1;
    log = now;
    empty = !now?.querySelector('[data-seq]');
    if (seqs.length) window.shown(`${performance.timeOrigin}/${list}`, seqs, Date.now() / 1000);
  }).observe(document, { childList: true, subtree: true });
})();
"""
IN_THE_LIST = "[...document.querySelectorAll('.rt-feed [data-seq]')].map((row) => +row.dataset.seq)"


class BrowserWatcher:
    """A page, and the lists it showed one after another (one, unless the page was made anew).

    Args:
        name: for reports.
        channel: the project's.
        proxy: the network it is behind.
    """

    def __init__(self, name: str, channel: str, proxy: Proxy) -> None:
        self.name = name
        self.channel = channel
        self.proxy = proxy
        self.lists: list[Shown] = []
        self.page: Page | None = None
        self._list = ""
        self._marker = ""

    @asynccontextmanager
    async def opened(self, playwright: Playwright, port: int, cookie: str) -> AsyncIterator["BrowserWatcher"]:
        """The page, open and attached inside the block.

        Args:
            playwright: starts the browser.
            port: the app's, which this browser reaches through its proxy.
            cookie: the `Cookie` header of a session.
        """
        self._marker = f"MAP localhost:{port} 127.0.0.1:{self.proxy.port}"
        browser = await playwright.chromium.launch(
            executable_path=chromium.ensure(), args=[*chromium.FLAGS, f"--host-resolver-rules={self._marker}"]
        )
        try:
            context = await browser.new_context()
            context.set_default_timeout(OPEN_MS)
            name, _, value = cookie.partition("=")
            await context.add_cookies([{"name": name, "value": value, "url": f"http://localhost:{port}"}])
            await context.expose_function("shown", self._shown)
            await context.add_init_script(OBSERVE)
            self.page = await context.new_page()
            kind, _, identity = self.channel.partition(":")
            await self.page.goto(f"http://localhost:{port}/{kind}s/{identity}")
            await self.page.locator(".rt-feed[data-status=attached]").wait_for()
            yield self
        finally:
            await browser.close()

    def processes(self) -> list[psutil.Process]:
        """The browser's processes, the first one first."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if any(self._marker in word for word in process.cmdline()):
                    return [process, *process.children(recursive=True)]
        return []

    async def seqs_on_the_page(self) -> list[int]:
        """The rows of the list, from top to bottom, as they stand now."""
        assert self.page is not None
        seqs: list[int] = await self.page.evaluate(IN_THE_LIST)
        return seqs

    def _shown(self, identity: str, seqs: list[int], when: float) -> None:
        if identity != self._list:
            self._list = identity
            self.lists.append(Shown(self.name, self.name, self.channel))
        for seq in seqs:
            self.lists[-1].add(seq, "", min(when, time.time()))
