"""What a subscription asks for."""

import pytest

from realtime_ui.core.messages import Head
from realtime_ui.hub.subscribe import SubscribeRequest


@pytest.mark.parametrize(
    ("last", "epoch", "kind"),
    [
        (None, "", "fresh"),
        (15, "e1", "resume"),
        (20, "e1", "resume"),
        (3, "e1", "gap"),
        (15, "e0", "reset"),
        (30, "e1", "reset"),
    ],
)
def test_how_the_rows_begin_has_a_name(last: int | None, epoch: str, kind: str) -> None:
    """On a channel of epoch e1 that keeps 11 to 20."""
    wish = SubscribeRequest.parse({"channel": "project:x", "last": last, "epoch": epoch})
    assert wish.kind(*wish.begin(Head("e1", 11, 20))) == kind
