"""Who emitted an event, as the log keeps it and as rows show it.

The log's text is `KIND:ID NAME` for a person or a key (`key:8c1f… billing-bot`), `foreign:NAME` for a client of the
provider that nobody vouches for, and `app` for the app's own code. The name is that of the time of the event, so no
row costs a query; events of before release 0211 have none.
"""

from functools import lru_cache
from typing import Any

NAMED = ("person", "key")
UNKNOWN = ""


@lru_cache(maxsize=4096)
def emitter_of(stamp: str) -> dict[str, Any] | None:
    """What a row shows of a stamp: `{kind, name}`, the id in place of a name that is not known; None of no stamp.

    The result is shared: do not change it.
    """
    kind, _, rest = stamp.partition(":")
    if not kind:
        return None
    if kind in NAMED:
        identity, _, name = rest.partition(" ")
        return {"kind": kind, "name": name or identity}
    return {"kind": kind, "name": rest}
