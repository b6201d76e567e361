"""What commands print with ``--json``: values become documents here, commands print them. ``docs/json.md`` lists every
field, and a test compares that page with real output."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from policy.advice import Advice
from policy.blame import Blame, changes_of
from policy.drop_in import DropIn
from policy.exposure_rating import Rating, rate
from policy.relax import Relaxation
from policy.replay import Replayed
from policy.sandbox.denial import Denial
from policy.service_profile import Profile
from policy.wording import behaviour_in_words, fact_in_words
from profiler.generation import Generated
from profiler.replay_document import denial_document, replay_fields

if TYPE_CHECKING:  # what only some commands have; generate and replay start without the rooms that act
    from profiler.minimisation import Minimised
    from profiler.record import Recorded
    from profiler.validate.relaxing import Relaxed
    from profiler.validate.transaction import Applied
    from profiler.validate.validation import Verdict

SCHEMA_VERSION = 1
"""Of every document; raised when a reader of an older one would misunderstand it. New fields do not raise it."""

Document = dict[str, object]


def document(**fields: object) -> Document:
    """Return a document with its schema version in front."""
    return {"schema_version": SCHEMA_VERSION, **fields}


def planned_document(
    unit: str, *, writes: str | None = None, removes: Sequence[str] = (), restarts: Sequence[str] = ()
) -> Document:
    """Return what ``apply`` and ``revert`` with --dry-run say."""
    fields = {"unit": unit, "writes": writes, "removes": list(removes), "restarts": list(restarts)}
    return document(dry_run=True, **fields)


def profile_fields(profile: Profile) -> Document:
    """Return what is known of a profile as a whole."""
    header = profile.header
    return {
        "unit": header.unit.name,
        "facts": len(profile.facts),
        "recordings": len(header.recordings),
        "recorders": list(header.recorders),
        "workload": header.workload,
        "unobserved": list(header.unobserved),
        "losses": [{"kind": loss.kind, "count": loss.count, "sample": loss.sample} for loss in header.losses],
        "partial": profile.is_partial,
    }


def recording_document(recorded: Recorded, path: Path) -> Document:
    """Return what ``record`` prints: what was recorded, what was not, and where it is."""
    return document(
        **profile_fields(recorded.profile),
        events=recorded.lines,
        interrupted=recorded.lived.interrupted,
        problem=recorded.lived.health.problem,
        status=recorded.status,
        profile=str(path),
    )


def advice_document(advice: Advice) -> Document:
    """Return one piece of advice."""
    return {
        "setting": advice.setting,
        "reason": advice.reason,
        "caution": advice.caution,
        "evidence": [fact_in_words(fact) for fact in advice.evidence],
    }


def rating_document(rating: Rating) -> Document:
    """Return the exposure levels of systemd-analyze(1), 0.0 to 10.0, before and after, and how low they could get."""
    return {
        "before": rating.before.level,
        "after": rating.after.level,
        "kind": rating.kind,
        "kind_floor": rating.kind_floor.level,
        "floor": rating.floor.level,
        "floor_because": list(rating.floor.because),
    }


def settings_fields(drop_in: DropIn) -> list[Document]:
    """Return the settings of a drop-in in order, with their comments."""
    return [{"name": one.name, "value": one.value, "comments": list(one.comments)} for one in drop_in.settings]


def generated_document(generated: Generated, level: str, output: Path | None) -> Document:
    """Return what ``generate`` prints: the settings with their reasons; ``text`` where no file was written."""
    return document(
        unit=generated.decision.evidence.unit.name,
        systemd_version=generated.decision.evidence.host.systemd_version,
        level=level,
        settings=settings_fields(generated.drop_in),
        advice=[advice_document(one) for one in generated.advice],
        exposure=rating_document(rate(generated.decision)),
        drop_in=str(output) if output else None,
        text=None if output else generated.text,
    )


def relaxation_documents(relaxations: Sequence[Relaxation]) -> list[Document]:
    """Return changes to a drop-in: what is added or takes the place of a directive's values, and why."""
    return [
        {
            "directive": one.directive,
            "values": list(one.values),
            "adds": one.adds,
            "taken": list(one.taken),
            "words": one.in_words,
            "reason": one.reason,
        }
        for one in relaxations
    ]


def cause_documents(blamed: Sequence[Blame]) -> list[Document]:
    """Return what is to blame: the setting, its lines in the drop-in, what it denied, and what would allow that."""
    return [
        {
            "setting": one.setting,
            "lines": [{"line": line.line, "text": f"{line.name}={line.value}"} for line in one.lines],
            "denials": denial_documents(one.denials),
            "suggestions": relaxation_documents(one.changes),
        }
        for one in blamed
    ]


def denial_documents(denials: Sequence[Denial]) -> list[Document]:
    """Return denials."""
    return [denial_document(denial) for denial in denials]


def verdict_fields(verdict: Verdict) -> Document:
    """Return what a test restart found."""
    return {
        "fits": verdict.fits,
        "problem": verdict.problem,
        "blocked": denial_documents(verdict.denials),
        "vanished": [behaviour_in_words(fact.behaviour) for fact in verdict.vanished],
        "warnings": list(verdict.warnings),
        "exposure_before": verdict.exposure_before,
        "exposure_after": verdict.exposure_after,
        "kept": verdict.kept,
    }


def validation_document(unit: str, relaxed: Relaxed, drop_in: Path) -> Document:
    """Return what ``validate`` prints; ``drop_in`` is the file that was judged last."""
    return document(
        unit=unit,
        **verdict_fields(relaxed.verdict),
        restarts=relaxed.restarts,
        relaxations=relaxation_documents(relaxed.relaxations),
        causes=cause_documents(relaxed.blamed),
        suggestions=relaxation_documents(changes_of(relaxed.blamed)),
        innocent=relaxed.innocent,
        drop_in=str(drop_in),
    )


def minimisation_document(unit: str, found: Minimised, path: Path) -> Document:
    """Return what ``minimise`` prints: what is gone, missed, put back and untried, and what that cost and gained."""
    standing = found.standing
    return document(
        unit=unit,
        complete=found.complete,
        drop_in=str(path),
        gone=[str(piece) for piece in standing.gone],
        missed=[str(piece) for piece in standing.missed],
        put_back=[str(piece) for piece in found.put_back],
        not_tried=[str(piece) for piece in standing.left],
        refused=denial_documents(found.verdict.denials if found.verdict else ()),
        questions=standing.asked,
        seconds=round(found.seconds, 1),
        calls_before=found.calls_before,
        calls_after=found.calls_after,
        exposure_before=found.exposure_before,
        exposure_after=found.exposure_after,
    )


def applied_document(unit: str, applied: Applied, path: str) -> Document:
    """Return what ``apply`` prints: whether the drop-in is in force, and until when if it waits to be confirmed."""
    return document(
        unit=unit,
        applied=not applied.problem,
        problem=applied.problem,
        warnings=list(applied.warnings),
        drop_in=None if applied.problem else path,
        deadline=applied.pending.deadline if applied.pending else None,
    )


def hardening_document(
    recorded: Recorded,
    paths: tuple[Path, Path],
    generated: Generated,
    replayed: Replayed,
    relaxed: Relaxed | None = None,
    *,
    minimised: tuple[Minimised, Path] | None = None,
) -> Document:
    """Return what ``harden`` prints; ``validation`` is null where the replay already said no, ``minimised`` where that
    was not asked for.

    ``paths`` are those of the profile and of the drop-in.
    """
    profile, drop_in = paths
    return document(
        unit=recorded.profile.header.unit.name,
        profile=str(profile),
        drop_in=str(drop_in),
        recording={**profile_fields(recorded.profile), "events": recorded.lines},
        settings=settings_fields(relaxed.drop_in if relaxed else generated.drop_in),
        advice=[advice_document(one) for one in generated.advice],
        exposure=rating_document(rate(generated.decision)),
        replay=replay_fields(replayed),
        validation={**verdict_fields(relaxed.verdict), "restarts": relaxed.restarts} if relaxed else None,
        relaxations=relaxation_documents(relaxed.relaxations if relaxed else ()),
        minimised=minimisation_document(recorded.profile.header.unit.name, *minimised) if minimised else None,
    )
