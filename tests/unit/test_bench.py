"""What the bench makes of what it measured; nothing is measured here."""

from pathlib import Path

import pytest

from bench import histogram
from bench.__main__ import chosen, run
from bench.results import DOCUMENT, Results, rendered
from bench.sections import SECTIONS
from bench.sections.deliveries import kept_up, state
from bench.stage import Failed
from bench.tables import TABLES


def test_the_documents_tables_are_those_of_the_results() -> None:
    """All of them: nobody writes a figure into the document by hand."""
    document = DOCUMENT.read_text()
    assert rendered(document, Results().figures(), TABLES) == document
    for name in TABLES:
        assert f"<!-- table {name} -->" in document


def test_a_section_that_fails_ends_no_run_and_keeps_its_earlier_result(tmp_path: Path) -> None:
    """The others are measured, and kept at once."""
    results = Results(tmp_path / "results.json")
    results.keep("slow", {"figure": 1})

    def slow() -> dict[str, int]:
        raise Failed("It did not answer.")

    assert run({"slow": slow, "quick": lambda: {"figure": 2}}, results) == ["slow"]
    assert Results(tmp_path / "results.json").figures() == {"slow": {"figure": 1}, "quick": {"figure": 2}}


def test_an_interrupted_run_is_resumed_where_it_was(tmp_path: Path) -> None:
    """With the sections that it had not measured; a new run measures all."""
    results = Results(tmp_path / "results.json")
    assert chosen([], results) == list(SECTIONS)
    results.keep("delivery", {})
    assert chosen(["--resume"], results) == [name for name in SECTIONS if name != "delivery"]
    assert chosen(["--only", "dom", "--only", "delivery"], results) == ["dom", "delivery"]
    assert chosen(["--tables"], results) == []


def test_an_unknown_section_is_refused(tmp_path: Path) -> None:
    """Before anything is measured."""
    with pytest.raises(SystemExit):
        chosen(["--only", "nothing"], Results(tmp_path / "results.json"))


def test_who_falls_behind_is_said_to_and_does_not_keep_up() -> None:
    """However quick and well ordered what arrived was."""
    round_ = {"arrived": 0.63, "whole": True, "p99_ms": 10}
    assert state(round_) == "fell behind: 63% had arrived"
    assert not kept_up(round_)
    assert kept_up({**round_, "arrived": 1.0})
    assert not kept_up({**round_, "arrived": 1.0, "whole": False})
    assert not kept_up({**round_, "arrived": 1.0, "p99_ms": 400})


def test_several_processes_latencies_add_up() -> None:
    """To a hundredth."""
    first, second = histogram.histogram([0.01] * 90), histogram.histogram([0.5] * 10)
    both = histogram.added([first, second])
    assert histogram.quantile(both, 0.5) == pytest.approx(0.01, rel=0.01)
    assert histogram.quantile(both, 0.99) == pytest.approx(0.5, rel=0.01)
    assert histogram.quantile({}, 0.5) is None
