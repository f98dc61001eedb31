/**
 * What a page does when one of its scripts or styles is gone, because a new version was deployed and this page's files
 * are no longer kept: it loads the address that was asked for, once, since the new version's page names its own files.
 * Where that does not help, or the server does not answer, it says so and leaves the rest to the reader.
 *
 * An inline script at the head of every page: it must run when no other script can be loaded.
 */
(() => {
  const KEY = "realtime-ui-missing-asset";
  const QUIET_MS = 60_000; // how long after an automatic load there is no second one
  const PATIENCE_MS = 5_000;
  const NOTICE = "realtime-ui-new-version";

  const load = (target) => {
    // The same address, but for its fragment, would only scroll.
    if (target.split("#")[0] === location.href.split("#")[0]) location.reload();
    else location.assign(target);
  };

  const notice = (words, target) => {
    const show = () => {
      document.getElementById(NOTICE)?.remove();
      const bar = document.createElement("div");
      bar.id = NOTICE;
      bar.setAttribute("role", "alert");
      bar.style.cssText =
        "position:fixed;inset:auto 0 0 0;z-index:2147483647;display:flex;flex-wrap:wrap;justify-content:center;" +
        "align-items:center;gap:8px 16px;padding:10px 16px;font:15px/1.4 system-ui,sans-serif;background:CanvasText;color:Canvas;";
      const button = document.createElement("button");
      button.textContent = "Reload";
      button.style.cssText =
        "font:inherit;color:inherit;background:none;border:1px solid currentColor;border-radius:6px;padding:4px 14px;cursor:pointer;";
      button.onclick = () => {
        try {
          sessionStorage.removeItem(KEY);
        } catch {
          // nothing is remembered where that is forbidden
        }
        load(target);
      };
      bar.append(words, button);
      document.body.append(bar);
    };
    if (document.readyState === "complete") show();
    else addEventListener("load", show); // what is not React's own must not be there when React takes over
  };

  const loadedBefore = () => {
    try {
      const before = Number(sessionStorage.getItem(KEY));
      sessionStorage.setItem(KEY, String(Date.now()));
      return Date.now() - before < QUIET_MS;
    } catch {
      return true; // where nothing can be remembered, nothing may repeat
    }
  };

  let handling = false;

  /** A file of the page could not be loaded; `going` is the location that was being navigated to, if any. */
  const missing = async (going) => {
    if (handling) return;
    handling = true;
    const target = going ? new URL(going.pathname + going.search + going.hash, location.href).href : location.href;
    try {
      const answer = await fetch(target, {
        method: "HEAD",
        cache: "no-store",
        redirect: "manual", // to a sign-in page of the network, which only a load of the page can show
        signal: AbortSignal.timeout(PATIENCE_MS),
      });
      if (answer.status >= 500) throw new Error(`status ${answer.status}`);
      if (loadedBefore()) notice("A new version is ready.", target);
      else load(target);
    } catch {
      // The browser's own error page would take away what is on the screen.
      notice("The page could not be loaded: the server does not answer.", target);
    }
    handling = false;
  };

  window.realtimeUiMissing = missing;
  addEventListener("vite:preloadError", (event) => {
    event.preventDefault();
    missing();
  });
  // Another script that fails to load, such as one of a browser extension or one that a blocker keeps away, is no file
  // of a build.
  const isOwn = (address) => {
    const { origin, pathname } = new URL(address, location.href);
    return origin === location.origin && pathname.startsWith("/assets/");
  };
  addEventListener(
    "error",
    ({ target }) => {
      // A page imports its first scripts in an inline module.
      const isScript = target instanceof HTMLScriptElement && (target.src ? isOwn(target.src) : target.type === "module");
      if (isScript || (target instanceof HTMLLinkElement && target.rel === "stylesheet" && isOwn(target.href))) missing();
    },
    true,
  );
})();
