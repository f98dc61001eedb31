"""The table of endings, and what the documents say of it."""

import json

import pytest

from realtime_ui.core.endings import Ending, markdown_table
from realtime_ui.hub.stream_event import FINAL_RETRY_MS, closing
from tests.app import ROOT


def test_the_document_has_the_table_of_the_code() -> None:
    """Word for word, between its marks."""
    text = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert text.partition("<!-- endings -->\n")[2].partition("<!-- /endings -->")[0] == markdown_table()


def test_codes_are_unique_and_in_the_range_for_applications() -> None:
    """RFC 6455 keeps those below 4000 for itself."""
    codes = [ending.value.code for ending in Ending]
    assert len(set(codes)) == len(codes)
    assert all(4000 <= code < 5000 for code in codes)


def test_signed_out_is_said_of_nothing_else() -> None:
    """Nor does an ending after which the page reconnects ask a person for anything."""
    assert [ending for ending in Ending if "signed out" in ending.value.says] == [Ending.SIGNED_OUT]
    assert all(ending.value.reconnect is (ending.value.action == "") for ending in Ending)


@pytest.mark.parametrize("ending", list(Ending))
def test_a_stream_ends_with_an_event_only_where_its_client_should_stay_away(ending: Ending) -> None:
    """Else with a comment, which clients skip; in both cases with a wait that has jitter."""
    lines = closing(ending, "", False).decode().splitlines()
    assert lines[0] == f": {ending.name.lower()}: {ending.value.says}"
    wait = int(lines[1].removeprefix("retry: "))
    wanted = ending.value.after_ms if ending.value.reconnect else FINAL_RETRY_MS
    assert 0.5 * wanted <= wait <= 1.5 * wanted
    said = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    assert said == ([] if ending.value.reconnect else [{"type": "closed", **ending.packet()}])
