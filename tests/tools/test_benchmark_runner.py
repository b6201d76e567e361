"""The benchmark runner: rows, the table, the JSON, and promises that are not kept."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.benchmarks import run
from tests.benchmarks.row import Row


@pytest.mark.parametrize(
    ("measured", "median", "smallest", "largest"), [([3.0], 3, 3, 3), ([9.0, 1.0], 5, 1, 9), ([5.0, 1.0, 3.0], 3, 1, 5)]
)
def test_a_row_holds_median_and_spread(measured: list[float], median: float, smallest: float, largest: float) -> None:
    row = Row.of("boot", measured, "s")
    assert (row.median, row.smallest, row.largest, row.samples) == (median, smallest, largest, len(measured))


@pytest.mark.parametrize(("bar", "passed"), [(None, True), (3.0, True), (2.9, False)])
def test_a_row_knows_whether_its_promise_is_kept(bar: float | None, passed: bool) -> None:
    assert Row.of("boot", [3.0], "s", bar).passed is passed


@pytest.mark.parametrize(("bar", "status"), [(2.0, 0), (0.5, 1)])
def test_results_are_printed_and_written_and_broken_promises_fail(
    bar: float, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = ModuleType("tests.benchmarks.example")
    vars(module).update(NAME="an example", measure=lambda: [Row.of("boot", [1.0, 1.5, 0.5], "s", bar)])
    monkeypatch.setitem(sys.modules, "tests.benchmarks.example", module)
    monkeypatch.setattr(run, "available", lambda: ["example"])
    monkeypatch.setattr(run, "RESULT", tmp_path / "build" / "bench.json")
    assert run.main([]) == status
    shown = capsys.readouterr().out
    assert "an example" in shown
    assert ("NOT KEPT" in shown) is bool(status)
    written = json.loads((tmp_path / "build" / "bench.json").read_text())
    assert written["results"][0]["rows"][0]["median"] == 1.0
    assert written["machine"]["kernel"]


def test_an_unknown_benchmark_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["no-such"]) == 2
    assert "no such benchmark" in capsys.readouterr().err


def test_every_benchmark_has_what_the_runner_calls() -> None:
    for name in run.available():
        text = (run.FOLDER / f"{name}.py").read_text()
        assert "NAME = " in text, name
        assert "def measure() -> list[Row]:" in text, name
