/** Who is signed in, as the server says; for another person than before, the tab begins anew. */
import { fetchApi } from "./api.js";
import { connection, isBrowser } from "./store.js";

const tabs = isBrowser && "BroadcastChannel" in window ? new BroadcastChannel("realtime_ui/you") : null;

/** Whether this tab goes on for the person that is signed in now. */
export const recognise = ({ person, tenant }) => {
  const { you } = connection.value;
  if (you && (you.person !== person || you.tenant !== tenant)) {
    document.documentElement.style.visibility = "hidden"; // what one person saw is not the next one's
    window.location.reload();
    return false;
  }
  if (!you) connection.set({ you: { person, tenant } });
  return true;
};

/** Tell the browser's other tabs that somebody is signed in here. */
export const tellTabs = ({ person, tenant }) => tabs?.postMessage({ person, tenant });

/** Hear `{person, tenant}` of the browser's other tabs. */
export const hearTabs = (listener) => tabs?.addEventListener("message", ({ data }) => listener(data));

/**
 * Whose the browser's cookie is now, `{person, tenant}`; null where that is nobody.
 *
 * @throws ApiError where the server did not say.
 */
export const whoIsSignedIn = async () => {
  const now = await fetchApi("/api/session");
  return now.person ? now : null;
};
