"""A fault: a sound drop-in made wrong in one place, and what must be said of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from policy.blame import Blame
from policy.directives.base import Directive
from policy.directives.path_list import PathListDirective
from policy.directives.system_calls import SystemCallFilter
from policy.drop_in import DropIn, Setting
from policy.host_facts import HostFacts
from policy.settings import parse_settings
from policy.unit_settings import UnitSettings

PATH_LISTS_THAT_ALLOW = frozenset({"ReadWritePaths", "ExecPaths", "IPAddressAllow", "SocketBindAllow", "DeviceAllow"})


@dataclass(frozen=True)
class Fault:
    """Takes the word ``without`` out of all lines of a directive, or puts the line ``directive=value`` in: in place of
    those that are there, or behind them if it ``adds``.

    ``blamed`` is the directive whose line must be blamed where it is another one: what ReadWritePaths= does not have
    is denied by ProtectSystem=. ``fresh`` faults show at a first start only.
    """

    daemon: str
    kind: str
    directive: str
    value: str = ""
    without: str = ""
    adds: bool = False
    blamed: str = ""
    fresh: bool = False

    def __str__(self) -> str:
        if self.without:
            return f"{self.directive}= without {self.without}"
        return f"{self.directive}={self.value}"

    @property
    def blamed_directive(self) -> str:
        """The directive whose line denies."""
        return self.blamed or self.directive

    def seeded(self, sound: DropIn) -> DropIn:
        """Return the drop-in with the fault. Raises ValueError if that changes nothing."""
        if self.without:
            kept = (self._without(setting) for setting in sound.settings)
            settings = tuple(setting for setting in kept if setting is not None)
        else:
            others = tuple(one for one in sound.settings if self.adds or one.name != self.directive)
            settings = (*others, Setting(self.directive, self.value))
        if settings == sound.settings:
            raise ValueError(f"{self} changes nothing in the drop-in of {self.daemon}")
        return replace(sound, settings=settings)

    def _without(self, setting: Setting) -> Setting | None:
        words = setting.value.split()
        kept = [word for word in words if word.lstrip("-+").strip('"') != self.without]
        if setting.name != self.directive or kept == words:
            return setting
        return replace(setting, value=" ".join(kept)) if kept else None

    def is_blamed_by(self, blamed: tuple[Blame, ...]) -> bool:
        """Whether the line with the fault is blamed, and no other."""
        lines = [line for one in blamed for line in one.lines]
        return bool(lines) and all(self._is_faulty(line) for line in lines)

    def _is_faulty(self, line: Setting) -> bool:
        same_value = bool(self.without) or line.value == self.value
        return line.name == self.blamed_directive and same_value


def looser(relaxed: DropIn, sound: DropIn, host: HostFacts, unit: UnitSettings) -> list[str]:
    """Return the directives that allow more in one drop-in than in the other, in the model's terms.

    Lines that the model does not know are compared as text.
    """
    one, other = (parse_settings((*unit.assignments, *each.assignments), host) for each in (relaxed, sound))
    found = [name for name in one if _is_looser(name, one[name], other[name], host)]
    lines = {setting.name for setting in sound.settings if setting.name not in one}
    return found + [name for name in sorted(lines) if name not in {setting.name for setting in relaxed.settings}]


def _is_looser(name: str, one: Directive, other: Directive, host: HostFacts) -> bool:
    if isinstance(one, SystemCallFilter) and isinstance(other, SystemCallFilter):
        return bool(_calls(one, host) - _calls(other, host))
    if isinstance(one, PathListDirective) and isinstance(other, PathListDirective):
        mine, theirs = ({entry.path for entry in each.entries} for each in (one, other))
        if name in PATH_LISTS_THAT_ALLOW:
            return any(not _is_covered(path, theirs) for path in mine)
        return not theirs <= mine
    strict = one.strictness(), other.strictness()
    elements = set(one.elements()), set(other.elements())
    return bool(strict[0] < strict[1] or (elements[1] and elements[0] - elements[1]))


def _calls(directive: SystemCallFilter, host: HostFacts) -> frozenset[str]:
    calls = directive.calls
    return frozenset(name for name in host.known_calls if calls is None or calls.allows(name))


def _is_covered(path: str, paths: set[str]) -> bool:
    return any(path == other or path.startswith(other.rstrip("/") + "/") for other in paths)
