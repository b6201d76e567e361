"""The page says what failed, and figures survive being written and read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.report import run
from tests.report.outcome import Outcome, Trial
from tests.report.recorders import Seen
from tests.report.table import page
from tests.services.figures import Figure

FITS = Trial(
    second_done=True, exposure=1.7, capabilities=("CAP_KILL",), families="AF_UNIX", calls_let_through=200, blocked=()
)
SOUND = Outcome(
    "sound",
    "sound.service",
    when="2001-02-03",
    systemd=252,
    kernel="6.1",
    recorder="ebpf",
    capabilities_used=("CAP_CHOWN", "CAP_KILL"),
    exposure_before=9.6,
    floor=1.7,
    generic=Trial(problem="does not start"),
    levels={
        "standard": FITS,
        "strict": replace(FITS, second_problem="a page is | missing", second_blocked=("one", "two")),
    },
    workload_seconds=2.0,
    workload_seconds_recorded=3.0,
    recorders=(Seen("strace", facts=10, capabilities=("CAP_CHOWN",), crossed=1),),
)
UNSOUND = replace(SOUND, name="unsound", levels={"standard": Trial(blocked=("call mkdir",))})
FIGURE = Figure("decoy", "does nothing", "CAP_KILL", "", "2001-02-03", "auto", "none", "KILL", False, ("a difference",))


def test_failures_stay_in_the_table_with_their_cause() -> None:
    text = page([SOUND, UNSOUND], [FIGURE, replace(FIGURE, engine="strace")])

    assert "| sound | 9.6 | – | **fails** | 1.7 | 1.7 | ok | ok | 1.7 | ok | **fails** |" in text
    assert "| unsound | 9.6 | – | **fails** | – | 1.7 | **1 blocked** | – | – | – | – |" in text
    assert "- **sound**, strict, second use: a page is \\| missing; denied: one; two" in text
    assert "- **sound**, generic drop-in, recorded use: does not start" in text
    assert "- **unsound**, standard, blocked: call mkdir" in text
    assert "2 of 3 drop-ins let all of the recorded use through." in text
    assert "| decoy | does nothing; decoy for CAP_KILL | none |  | KILL | a difference |" in text
    assert "| sound | strace | 10 | 0 | CHOWN | 0 | 1 | none |" in text
    assert "- Recorded with strace: the oracle's capabilities on 0 of 1" in text
    assert "2001-02-03, systemd 252 in a twin, kernel 6.1: sound, unsound" in text


def test_figures_are_written_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "FIGURES", tmp_path / "build" / "report.json")
    monkeypatch.setattr(run, "PAGE", tmp_path / "results.md")

    run.write([UNSOUND, SOUND], [FIGURE])

    assert run.read(run.FIGURES) == ({"sound": SOUND, "unsound": UNSOUND}, [FIGURE])
    assert run.PAGE.read_text() == page([SOUND, UNSOUND], [FIGURE])
    assert run.read(tmp_path / "nothing") == ({}, [])
