"""Compares the model of policy with what processes experience under real systemds: ``make conformance``.

Writes ``build/conformance.json`` and ``docs/conformance.md``. Exits with 1 if there is a disagreement that nothing
explains.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from policy.settings import build_sandbox, parse_settings
from policy.unit_settings import UnitSettings
from tests.conformance import known, report
from tests.conformance.cases import Case, combinations, single_cases
from tests.conformance.comparison import MISSING, UNSTABLE, Pair, Verdict, came_true, is_convention, predict
from tests.conformance.images import IMAGES
from tests.conformance.laboratory import Laboratory, Run, booted
from tests.conformance.probe_kind import TESTER_NAME, Probe

COMBINATIONS = 220
SEED = 20240101


@dataclass
class Findings:
    """Everything about one version: the pairs, the directives that were tried, and what could not be.

    ``not_started`` has the settings under which the unit should have started and did not, by directive and settings,
    ``failures`` their number; ``gaps`` the probes that show nothing on this machine, with the reason.
    """

    version: int
    pairs: list[Pair] = field(default_factory=list)
    tried: dict[str, None] = field(default_factory=dict)
    not_started: dict[tuple[str, str], str] = field(default_factory=dict)
    gaps: dict[str, str] = field(default_factory=dict)
    failures: int = 0
    seconds: float = 0.0


def try_cases(laboratory: Laboratory, cases: Iterable[Case], progress: bool = False) -> Findings:
    """Try cases for all users and return what was found. Raises RuntimeError if the probes do not run at all."""
    started = time.monotonic()
    findings = Findings(laboratory.host.systemd_version)
    baseline = laboratory.baseline()
    for case in cases:
        for user in case.users:
            probes = [probe for probe in laboratory.probes[user] if _is_tried(case, probe, baseline[user])]
            run = laboratory.run(case.settings, user, probes)
            pairs = list(_compared(laboratory, case, user, baseline[user], run))
            if not pairs:
                findings.failures += 1
                findings.not_started[case.directive, case.label] = f"UNEXPECTED: {run.failure}"
                print(f"{findings.version} {case.label} did not start: {run.failure}", flush=True)
            findings.pairs += pairs
            if progress:
                _show(findings.version, case, user, pairs)
        findings.tried[case.directive] = None
    findings.gaps = _gaps(laboratory, baseline[0])
    findings.seconds = time.monotonic() - started
    return findings


def _gaps(laboratory: Laboratory, baseline: Run) -> dict[str, str]:
    """Return the probes that show nothing on this machine, with the reason."""
    gaps = {}
    for probe in laboratory.probes[0]:
        outcome = baseline.results[probe.name][0]
        if outcome == UNSTABLE:
            gaps[probe.name] = "its outcome changes from one time to the next"
        elif probe.name.startswith("CAP_") and outcome in {"EPERM", "EACCES", "ENOSYS"}:
            gaps[probe.name] = f"{outcome} on this machine without any setting"
        elif probe.name.startswith("socket ") and outcome in {"EAFNOSUPPORT", "EPERM"}:
            gaps[probe.name] = f"{outcome} on this machine without any setting: a filter gives the same answer"
    if laboratory.unreachable:
        names = ", ".join(laboratory.unreachable)
        gaps["system calls of other architectures, or unknown to libseccomp"] = names
    return gaps


def _show(version: int, case: Case, user: int, pairs: list[Pair]) -> None:
    wrong = [pair for pair in pairs if pair.verdict is Verdict.DISAGREED]
    print(f"{version} {case.label} as {user}: {len(pairs)} pairs, {len(wrong)} wrong", flush=True)
    for pair in wrong[: 40 if len(wrong) < 200 else 10]:  # many have few causes
        print(f"    {pair.line()}", flush=True)


def _is_tried(case: Case, probe: Probe, baseline: Run) -> bool:
    if probe.name not in baseline.results or (case.raw and not probe.raw):
        return False
    if case.only_paths:
        return probe.is_about_paths and not probe.apart
    return case.about_paths or not probe.is_of_a_tree


def _compared(laboratory: Laboratory, case: Case, user: int, baseline: Run, run: Run) -> Iterator[Pair]:
    """Yield the pairs of one unit; none if it failed for a reason that the model does not know."""
    unit = UnitSettings(run.unit, user=TESTER_NAME if user else "", assignments=case.settings)
    sandbox = build_sandbox(parse_settings(case.settings, laboratory.host), laboratory.host, unit)
    is_refused = sandbox.mounts.failure is not None or sandbox.filters.failure is not None
    if run.failure and not is_refused:
        return
    for probe in run.probes:
        before = baseline.results[probe.name]
        if before[0] == UNSTABLE or not probe.behaviours:
            continue
        after = run.results.get(probe.name, MISSING)
        denial = predict(sandbox, probe, before, user)
        if is_refused:
            agreed = bool(run.failure)
        else:
            agreed = came_true(probe, denial, before, after, left_trace=probe.name in run.traces)
        reason = "" if agreed else is_convention(probe, denial, before, after)
        pair = Pair(case.directive, case.label, user, probe, before, after, denial, Verdict.AGREED)
        if not agreed:
            reason = reason or known.explanation(pair)
            verdict = Verdict.EXPLAINED if reason else Verdict.DISAGREED
            pair = Pair(case.directive, case.label, user, probe, before, after, denial, verdict, reason)
        yield pair


def main(arguments: list[str]) -> int:
    """Run everything, or a part for one version, and write the report."""
    parser = argparse.ArgumentParser(prog="make conformance", description=__doc__)
    parser.add_argument("--version", type=int, action="append", help="only this systemd (252, 257, 262)")
    parser.add_argument("--directive", action="append", help="only the cases of this directive")
    parser.add_argument("--combinations", type=int, default=COMBINATIONS, help="how many combinations of paths")
    chosen = parser.parse_args(arguments)
    found = []
    for image in IMAGES:
        if chosen.version and image.version not in chosen.version:
            continue
        with booted(image) as laboratory:
            cases = [*single_cases(laboratory.host), *combinations(chosen.combinations, SEED)]
            cases = [case for case in cases if not chosen.directive or case.directive in chosen.directive]
            found.append(try_cases(laboratory, cases, progress=True))
    report.write(found)
    wrong = [pair for findings in found for pair in findings.pairs if pair.verdict is Verdict.DISAGREED]
    for findings in found:
        counts = {verdict: sum(pair.verdict is verdict for pair in findings.pairs) for verdict in Verdict}
        print(
            findings.version,
            *(f"{verdict}: {number}" for verdict, number in counts.items()),
            f"{findings.seconds:.0f} s",
        )
    return 1 if wrong or any(findings.failures for findings in found) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
