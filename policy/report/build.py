"""From a profile, a decision and a drop-in to the report: everything is computed here, nothing shown."""

from __future__ import annotations

from policy.advice import advise
from policy.decide import Decision
from policy.drop_in import DropIn
from policy.explain import explain
from policy.exposure import assess
from policy.exposure_rating import rate
from policy.recording import Recording
from policy.replay import replay
from policy.report import access, lines, openings, path_tree, processes
from policy.report.model import Course, Levels, Replay, Report
from policy.service_profile import Profile
from policy.settings import build_sandbox, parse_settings
from policy.wording import advice_in_words, denial_in_words

BLOCKED_SHOWN = 200


def report(profile: Profile, decision: Decision, drop_in: DropIn, name: str, *, generated: bool) -> Report:
    """Return the report on a profile under a drop-in.

    ``decision`` is what was decided for the profile, ``name`` what the drop-in is called, and ``generated`` says that
    it is the one made from that decision.
    """
    evidence = decision.evidence
    host, unit, facts = evidence.host, evidence.unit, evidence.in_order
    settings = parse_settings((*unit.assignments, *drop_in.assignments), host)
    sandbox = build_sandbox(settings, host, unit)
    replayed = replay(profile, drop_in.assignments, host)
    exposure, rating, advice = assess(settings, host, unit), rate(decision), advise(decision)
    return Report(
        unit=unit.name,
        systemd=host.systemd_version,
        drop_in=name,
        generated=generated,
        facts=len(facts),
        levels=Levels(
            rating.before.level,
            exposure.level,
            rating.floor.level,
            rating.floor.because,
            rating.kind,
            rating.kind_floor.level,
        ),
        replay=Replay(
            replayed.judged,
            tuple(denial_in_words(denial) for denial in replayed.blocked[:BLOCKED_SHOWN]),
            tuple(denial_in_words(denial) for denial in replayed.changed[:BLOCKED_SHOWN]),
        ),
        remarks=tuple(_remarks(profile, decision)),
        advice=tuple(advice_in_words(one) for one in advice),
        openings=openings.openings(explain(decision), settings, exposure, advice),
        lines=lines.annotated(drop_in, replayed.denials, host),
        places=path_tree.path_tree(facts, sandbox),
        calls=access.calls(facts, host, sandbox),
        capabilities=access.capabilities(facts, sandbox),
        sockets=access.sockets(facts, sandbox),
        exec_lines=processes.exec_lines(facts, unit),
        programs=processes.programs(facts),
        courses=tuple(sorted(map(_course, profile.header.recordings), key=repr)),
        phases=processes.phases(facts),
    )


def _course(recording: Recording) -> Course:
    return Course(
        ", ".join(recording.recorders),
        recording.systemd_version,
        recording.kernel,
        recording.workload.value,
        recording.ending.value,
        recording.duration,
        recording.discovery,
        tuple((at, phase.value) for at, phase in recording.phase_starts),
    )


def _remarks(profile: Profile, decision: Decision) -> list[str]:
    """Return what the reader has to know of the recording before believing anything else."""
    header = profile.header
    remarks = ["only what the workload did is known: what it did not do may be denied"]
    if header.unobserved:
        remarks.append(f"not exercised while recording: {', '.join(header.unobserved)}")
    if not header.start_up_observed:
        remarks.append("the start of the service was not recorded")
    remarks += [f"lost while recording: {loss.count} x {loss.kind}" for loss in header.losses]
    if header.interrupted:
        remarks.append(f"ended early, by Ctrl-C: {header.interrupted} of {len(header.recordings)} recordings")
    if header.workload.value == "failed":
        remarks.append("the workload failed")
    if header.other_settings:
        remarks.append("the unit's own settings were changed between the recordings")
    if decision.evidence.uses_rings:
        remarks.append("it used an io_uring, and what happens inside of one cannot be seen")
    return remarks
