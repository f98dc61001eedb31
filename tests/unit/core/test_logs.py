"""Structured logs."""

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest

from realtime_ui.core.logs import REQUEST_ID, configure_logging, formatter


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What logging as a worker has it writes to standard error; undone at the end."""
    root, theirs = logging.getLogger(), logging.getLogger("uvicorn")
    before = (root.level, root.handlers[:], theirs.handlers[:], theirs.propagate)
    theirs.addHandler(logging.StreamHandler())
    theirs.propagate = False
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    configure_logging("json", "INFO")
    yield stream
    root.setLevel(before[0])
    root.handlers[:], theirs.handlers[:], theirs.propagate = before[1], before[2], before[3]


def test_a_line_is_json_with_what_it_is_about_and_its_request(written: io.StringIO) -> None:
    """Time, level, logger and message; the extras as fields."""
    token = REQUEST_ID.set("r-1")
    logging.getLogger("realtime_ui.x").info("Stored %s", 'a "thing"\n', extra={"event_ids": ["e-1"]})
    REQUEST_ID.reset(token)
    line = json.loads(written.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "realtime_ui.x",
        "message": 'Stored a "thing"\n',
        "event_ids": ["e-1"],
        "request_id": "r-1",
    }


def test_an_error_is_one_line_with_its_traceback(written: io.StringIO) -> None:
    """As a field."""
    try:
        raise ValueError("bad")
    except ValueError:
        logging.getLogger("realtime_ui.x").exception("It failed")
    [line] = written.getvalue().splitlines()
    assert "ValueError: bad" in json.loads(line)["exception"]


def test_the_servers_own_lines_come_the_same_way_once(written: io.StringIO) -> None:
    """And below the level nothing comes."""
    logging.getLogger("uvicorn.error").warning("from uvicorn")
    logging.getLogger("realtime_ui.x").debug("small talk")
    [line] = written.getvalue().splitlines()
    assert json.loads(line)["message"] == "from uvicorn"


def test_text_is_for_people() -> None:
    """With the same fields."""
    record = logging.LogRecord("realtime_ui.x", logging.INFO, "", 0, "Stored %s", ("it",), None)
    record.outcome = "stored"
    text = formatter("text").format(record)
    assert "Stored it" in text
    assert "outcome" in text
    assert not text.startswith("{")
