"""Structured logs: what a line holds, and what no line may hold, in both formats."""

import asyncio
import io
import json
import logging
import sys
from collections.abc import Callable, Iterator

import pytest

from realtime_ui.core import logs
from realtime_ui.core.log_lines import MAX_MESSAGE, MAX_TRACEBACK, error_text
from realtime_ui.core.log_throttle import BURST, PER_S, Throttle
from realtime_ui.core.logs import REQUEST_ID, configure_logging, formatter, log_loop_errors, report_suppressed
from tests.clock import ManualClock

SECRET = "correct horse battery staple"
BOTH = pytest.mark.parametrize("written", ["text", "json"], indirect=True)
OURS = logging.getLogger("realtime_ui.x")


@pytest.fixture
def written(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What logging as a worker has it writes to standard error; undone at the end."""
    root, theirs = logging.getLogger(), logging.getLogger("uvicorn")
    before = (root.level, root.handlers[:], theirs.handlers[:], theirs.propagate, logging.raiseExceptions)
    theirs.addHandler(logging.StreamHandler())
    theirs.propagate = False
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(logs, "_throttle", Throttle())
    configure_logging(getattr(request, "param", "json"), "INFO")
    yield stream
    root.setLevel(before[0])
    root.handlers[:], theirs.handlers[:], theirs.propagate, logging.raiseExceptions = before[1:]


def shown(written: io.StringIO) -> str:
    """What was written, with the escapes of JSON's own syntax undone."""
    lines = written.getvalue().splitlines()
    if not all(line.startswith("{") for line in lines):
        return written.getvalue()
    return "\n".join(str(value) for line in lines for value in json.loads(line).values())


def fail(secret: str = SECRET) -> None:
    """An exception with a secret among its frames' locals, its words and its later lines."""
    password = secret
    raise ValueError(f"The password '{password}' is 'not' right.\nDETAIL: {password}")


def log_failure(do: Callable[[], object] = fail) -> None:
    """Log what a function raises."""
    try:
        do()
    except Exception:
        OURS.exception("It failed")


def test_a_line_is_json_with_what_it_is_about_and_its_request(written: io.StringIO) -> None:
    """Time, level, logger and message; the extras as fields."""
    token = REQUEST_ID.set("r-1")
    OURS.info("Stored %s", 'a "thing"', extra={"event_ids": ["e-1"]})
    REQUEST_ID.reset(token)
    line = json.loads(written.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "realtime_ui.x",
        "message": 'Stored a "thing"',
        "event_ids": ["e-1"],
        "request_id": "r-1",
    }


def test_an_error_is_one_line_of_json_with_its_traceback(written: io.StringIO) -> None:
    """As a field."""
    log_failure()
    [line] = written.getvalue().splitlines()
    assert "ValueError" in json.loads(line)["exception"]


@BOTH
def test_a_traceback_names_frames_and_tells_no_values(written: io.StringIO) -> None:
    """No locals, nothing that an exception's words quote, nothing of their later lines; its causes likewise."""

    def chained() -> None:
        try:
            fail()
        except ValueError as error:
            raise RuntimeError("Because of it.") from error

    log_failure(chained)
    text = shown(written)
    assert SECRET not in text
    assert "in fail" in text
    assert "ValueError: The password '…' right." in text
    assert "RuntimeError: Because of it." in text


@BOTH
def test_an_exception_as_an_argument_tells_no_values_either(written: io.StringIO) -> None:
    """Whether it is asked for by %s or %r, or as a field."""
    try:
        fail()
    except ValueError as error:
        OURS.warning("Later: %s, %r", error, error, extra={"reason": error})
    assert SECRET not in written.getvalue()
    assert shown(written).count("ValueError: The password '…' right.") == 3


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (
            f"open() got an unexpected keyword argument '{SECRET}\nforged'",
            "open() got an unexpected keyword argument '…'",
        ),
        (f"bad value '{SECRET}' said 'x' here", "bad value '…' here"),
        (f'bad "{SECRET}', "bad '…'"),
        (f"it isn't, don't: `{SECRET}`", "it isn't, don't: '…'"),
        (f"'{'x' * 20_000}'{SECRET}", "'…'"),
        ("plain\nDETAIL: " + SECRET, "plain"),
    ],
)
def test_what_an_exception_quotes_is_left_out(words: str, kept: str) -> None:
    """Whatever the quotes hold, and whether they end."""
    assert error_text(ValueError(words)) == f"ValueError: {kept}"
    assert "/etc/x" in error_text(FileNotFoundError(2, "No such file", "/etc/x"))


@BOTH
def test_a_deep_or_long_exception_is_cut(written: io.StringIO) -> None:
    """Its last frames are kept, and a megabyte of words is not."""

    def deep() -> None:
        deep()

    log_failure(deep)
    assert "RecursionError" in written.getvalue()
    assert written.getvalue().count("in deep") <= 30

    def long() -> None:
        raise ValueError("x" * 1_000_000)

    log_failure(long)
    OURS.error("y" * 1_000_000, extra={"field": "z" * 1_000_000})
    assert "ValueError" in written.getvalue()
    assert len(written.getvalue()) < 3 * (MAX_TRACEBACK + MAX_MESSAGE)


@BOTH
def test_no_line_is_forged(written: io.StringIO) -> None:
    """Newlines, escape sequences and letters that turn the direction are escaped wherever a value stands."""
    evil = "a\n2026-11-28 [info] all is well\r\x1b[2J\u202e\u2028"

    class Evil(Exception):
        def __str__(self) -> str:
            return "b\x1b[31m" + evil

    def fail_evilly() -> None:
        raise Evil

    OURS.warning("Refused %s", evil, extra={"reason": evil, "list": [evil], "map": {evil: evil}})
    [line] = written.getvalue().splitlines()
    log_failure(fail_evilly)
    text = shown(written)
    assert not set("\r\x1b\u202e\u2028") & set(text)
    assert "\n2026-11-28 [info]" not in text
    assert r"a\n2026" in line.replace("\\\\", "\\")


@BOTH
def test_no_query_string_is_logged(written: io.StringIO) -> None:
    """The server logs addresses with them, and Reflex's client token is in a socket's."""
    logging.getLogger("uvicorn.error").warning(
        '%s - "WebSocket %s" 403', "127.0.0.1:1", "/_event/?EIO=4&token=secret-token"
    )
    log_failure(lambda: (_ for _ in ()).throw(RuntimeError("at https://x.test/a?token=secret-token failed")))
    assert "secret-token" not in written.getvalue()
    assert "/_event/?…" in shown(written)


@BOTH
def test_what_reflex_quotes_is_left_out(written: io.StringIO) -> None:
    """It builds lines from what clients send."""
    value = f"it's {SECRET}"
    logging.getLogger("reflex_base.event").warning(f"argument 'x' with value '{value}' and hint 'int'")
    assert SECRET not in written.getvalue()


@BOTH
def test_a_place_that_floods_is_throttled_and_says_how_much(
    written: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A burst, then one in a while with the number of those left out; other places go on."""
    clock = ManualClock()
    throttle = Throttle(clock.monotonic)
    monkeypatch.setattr(logs, "_throttle", throttle)
    handler = logging.getLogger().handlers[0]
    handler.filters[:] = [throttle]

    def flood(times: int) -> None:
        for number in range(times):
            logging.getLogger("reflex.app").warning(f"event {number}")

    flood(1_000)
    assert written.getvalue().count("event ") == BURST
    OURS.warning("another place")
    assert "another place" in written.getvalue()
    clock.stand_still(1 / PER_S)
    flood(1)
    assert str(1_000 - BURST) in written.getvalue().splitlines()[-1]
    flood(7)
    report_suppressed()
    assert "left out" not in written.getvalue(), "it may go on"
    clock.stand_still(2 / PER_S)
    report_suppressed()
    assert "left out" in written.getvalue().splitlines()[-1]
    assert "7" in written.getvalue().splitlines()[-1]
    before = written.getvalue()
    report_suppressed()
    assert written.getvalue() == before


@BOTH
def test_normal_work_is_not_throttled(written: io.StringIO) -> None:
    """Each emit has its line."""
    for _ in range(3 * BURST):
        OURS.info("Emit request")
    assert written.getvalue().count("Emit request") == 3 * BURST


@BOTH
async def test_an_exception_that_nobody_waits_for_is_logged_like_any_other(written: io.StringIO) -> None:
    """Asyncio's own words would show it whole."""
    loop = asyncio.get_running_loop()
    log_loop_errors(loop)

    async def work() -> None:
        fail()

    task = asyncio.create_task(work())
    await asyncio.wait({task})
    loop.call_exception_handler({"message": "Nobody waits", "task": task, "exception": task.exception()})
    assert "Nobody waits" in written.getvalue()
    assert "in fail" in written.getvalue()
    assert SECRET not in written.getvalue()


def test_the_servers_own_lines_come_the_same_way_once(written: io.StringIO) -> None:
    """And below the level nothing comes."""
    logging.getLogger("uvicorn.error").warning("from uvicorn")
    OURS.debug("small talk")
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
