"""One worker process: uvicorn with the app, for as long as the parent lives.

The parent holds the other end of standard input. When it dies, however it dies, this process ends at once:
it would keep the port, and nobody would watch over it. Tabs come back to the next one by seq.
"""

import os
import sys
import threading

import uvicorn


def main() -> None:
    """Run uvicorn with the arguments of the command line."""
    threading.Thread(target=_end_with_parent, name="end-with-parent", daemon=True).start()
    uvicorn.main()


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
