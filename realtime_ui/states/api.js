/**
 * Fetches from the app's own API. Whatever else answers at its address (a sign-in page of the network, a proxy's
 * error page, half an answer) is not taken for one.
 */

const PATIENCE_MS = 15_000;
const HEALTH_PATIENCE_MS = 5_000;

let origin = ""; // that of the page, but for development, where the API has another port

export const setApiOrigin = (url) => {
  origin = url;
};

/** What went wrong, in words. */
export const wordsOf = ({ detail, message, remedy }) => [detail ?? message, remedy].filter(Boolean).join(" ");

/** A wait of so many ms, give or take half of it. */
export const jitter = (ms) => ms * (0.5 + Math.random());

const NOT_OURS = {
  detail: "Something else answers in place of this app, such as a sign-in page of your network.",
  remedy: "Reload the page to see it.",
};

/** A request that failed, with the members of the problem that says why. */
class ApiError extends Error {
  constructor(problem) {
    super(wordsOf(problem));
    Object.assign(this, problem);
  }
}

const isJson = (response) => /^application\/(problem\+)?json\b/.test(response.headers.get("content-type") ?? "");

const send = (path, patience, options) =>
  fetch(origin + path, {
    ...options,
    credentials: "include",
    cache: "no-store",
    redirect: "manual", // the API redirects no such request: who does is somebody else
    signal: AbortSignal.timeout(patience),
  });

/**
 * Fetch JSON from the API with the browser's cookie; `options` as `fetch` takes them.
 *
 * @throws ApiError with `detail` and, where known, `remedy` and `retryable`: refused, not reached, or not our answer.
 */
export const fetchApi = async (path, options = {}) => {
  let response;
  try {
    response = await send(path, PATIENCE_MS, options);
  } catch {
    throw new ApiError({ detail: "The server could not be reached.", remedy: "Try again.", retryable: true });
  }
  if (!isJson(response)) {
    if (response.status >= 500) throw new ApiError({ detail: "The server is away.", remedy: "Try again.", retryable: true });
    throw new ApiError(NOT_OURS);
  }
  let body;
  try {
    body = await response.json();
  } catch {
    throw new ApiError({ detail: "The answer was cut off.", remedy: "Try again.", retryable: true });
  }
  if (!response.ok) throw new ApiError(body);
  if (body === null || typeof body !== "object") throw new ApiError(NOT_OURS);
  return body;
};

const SIGN_IN_STATUSES = [0, 200, 401, 403, 407, 511]; // of answers without JSON; a redirect shows as status 0

/**
 * Find out who answers at the app's address: "app", "sign_in_page" (one of the network's own), "another_server",
 * "away" (a proxy says that the app is) or "nobody".
 */
export const whoAnswers = async () => {
  try {
    const response = await send("/api/health", HEALTH_PATIENCE_MS, {});
    if (response.status >= 500 || response.status === 429) return "away";
    if (!isJson(response)) return SIGN_IN_STATUSES.includes(response.status) ? "sign_in_page" : "another_server";
    return (await response.json())?.app === "realtime-ui" ? "app" : "another_server";
  } catch {
    return "nobody";
  }
};
