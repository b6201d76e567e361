"""The drop-in line by line: what each takes away, why it is as it is, and what of the recording it would block."""

from __future__ import annotations

from collections.abc import Sequence

from policy.directives.base import all_directives
from policy.drop_in import DropIn, Setting
from policy.host_facts import HostFacts
from policy.report.model import Line
from policy.sandbox.denial import Denial
from policy.unit_settings import ALIASES
from policy.wording import denial_in_words


def annotated(drop_in: DropIn, denials: Sequence[Denial], host: HostFacts) -> tuple[Line, ...]:
    """Return the settings in their order; what a directive blocks stands at its last line."""
    last = {setting.name: place for place, setting in enumerate(drop_in.settings)}
    lines = [
        _line(setting, denials if last[setting.name] == place else (), host)
        for place, setting in enumerate(drop_in.settings)
    ]
    others = [
        Line(one.name, one.value, remark="not judged: it is no setting of [Service]", section=one.section)
        for one in drop_in.elsewhere
    ]
    return (*lines, *others)


def _line(setting: Setting, denials: Sequence[Denial], host: HostFacts) -> Line:
    name = ALIASES.get(setting.name, setting.name)
    kind = all_directives().get(name)
    blocks = tuple(denial_in_words(denial) for denial in denials if denial.directive == name)
    if kind is None:
        return Line(setting.name, setting.value, "", setting.comments, "not judged: unit-tailor has no model of it")
    unenforced = kind.unenforced(host)
    remark = f"without effect on this target: {unenforced}" if unenforced else ""
    return Line(setting.name, setting.value, kind.summary, setting.comments, remark, blocks)
