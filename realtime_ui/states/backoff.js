/** Waits before a failed request is repeated: they double, and are spread so that tabs do not come back all at once. */
const MIN_MS = 1_000;
const MAX_MS = 30_000;

export class Backoff {
  /** @param {() => void} retry is called when a wait is over. */
  constructor(retry) {
    this.retry = retry;
    this.tries = 0;
    this.timer = null;
  }

  /** Retry after the next wait, of at least so many ms; one that is already running is replaced. */
  later(atLeastMs = 0) {
    clearTimeout(this.timer);
    const wait = Math.max(atLeastMs, Math.min(MAX_MS, MIN_MS * 2 ** this.tries));
    this.tries += 1;
    this.timer = setTimeout(this.retry, wait * (0.5 + Math.random() / 2));
  }

  /** It worked, or nobody wants it any more: no retry, and the next wait is a short one. */
  reset() {
    clearTimeout(this.timer);
    this.tries = 0;
  }
}
