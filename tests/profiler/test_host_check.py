"""What follows from what a machine has, for every combination of what can be missing."""

from __future__ import annotations

import itertools
import json

import pytest

from profiler.host_check import Finding, Purpose, document, judge


@pytest.mark.parametrize(("everything", "host", "twin", "extra"), list(itertools.product([True, False], repeat=4)))
def test_services_can_be_studied_where_the_basis_and_one_place_are_there(
    everything: bool, host: bool, twin: bool, extra: bool
) -> None:
    findings = [
        Finding("basis", everything, ""),
        Finding("systemd as PID 1", host, "", purpose=Purpose.HOST),
        Finding("overlay", twin, "", purpose=Purpose.TWIN),
        Finding("space", True, "", purpose=Purpose.TWIN),
        Finding("bcc", extra, "", purpose=Purpose.EXTRA),
    ]
    verdict = judge(findings)
    assert verdict.possible is (everything and (host or twin))
    assert ("cannot" in verdict.words) is not verdict.possible
    if not everything:
        assert "basis" in verdict.words


def test_the_document_says_everything_and_can_be_written_as_json() -> None:
    finding = Finding("bcc", False, "not installed", "run: apt-get install python3-bpfcc", Purpose.EXTRA)
    read = json.loads(json.dumps(document([finding])))
    assert read["schema_version"] == 1
    assert read["possible"] is True
    assert read["findings"] == [
        {
            "name": "bcc",
            "ok": False,
            "reason": "not installed",
            "remedy": "run: apt-get install python3-bpfcc",
            "purpose": "extras",
        }
    ]
