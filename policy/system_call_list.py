"""The lists of SystemCallFilter=: how systemd reads them, what they answer, and how the proposed ones are written."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from policy.equivalence import ENOSYS_NEWCOMERS, WEIGHTY_GROUPS
from policy.host_facts import HostFacts
from policy.sandbox.denial import KILLED

REMOVABLE_GROUPS = ("@privileged", "@resources", "@aio", "@keyring", "@memlock", "@setuid", "@chown")
"""Groups of @system-service that are taken out when nothing used them. The others stay: calls of @io-event, @signal,
@sync, @timer and @ipc come up under load or rarely, and none of those groups is worth the risk."""

DEFAULT_IS_ENOSYS = 255
"""From here on an allow-list answers ENOSYS to calls that systemd does not know. libseccomp refuses a rule whose answer
is the filter's default one, so that ``~name:ENOSYS`` in an allow-list makes the start of a unit fail with 228/SECCOMP
(measured with 257 and 262)."""

ERRORS_IN_ALLOW_LISTS = 248
"""The first version in which ``~name:ERRNO`` behind an allow-list sets an errno instead of removing the name only."""


@dataclass(frozen=True)
class SystemCallList:
    """A filter list: ``entries`` are names with the answer that each demands, empty for the list's own answer.

    In an allow-list an entry without an answer is allowed, in a deny-list it is denied. ``lines`` are the assignments
    that say so; two lists that say the same in other words are equal.
    """

    allow_list: bool
    entries: frozenset[tuple[str, str]]
    lines: tuple[str, ...] = field(compare=False)

    @cached_property
    def _answers(self) -> Mapping[str, str]:
        return dict(self.entries)

    def answer(self, name: str, default: str, known: frozenset[str] = frozenset()) -> str:
        """Return the errno's name or ``SIGSYS`` for a call, or an empty string if it may pass.

        ``known``, if given, are the names that systemd knew when it was built: from 255 an allow-list answers ENOSYS
        to all others (``seccomp_load_syscall_filter_set_raw`` in ``seccomp-util.c``).
        """
        listed = self._answers.get(name)
        if listed:
            return listed
        if (listed is not None) == self.allow_list:
            return ""
        return "ENOSYS" if self.allow_list and known and name not in known else default

    def allows(self, name: str) -> bool:
        """Whether a call may pass."""
        return not self.answer(name, KILLED)

    @property
    def single_names(self) -> tuple[str, ...]:
        """The calls that are allowed by name, not as members of a group."""
        plain = {word for line in self.lines if not line.startswith("~") for word in line.split()}
        return tuple(sorted(word for word in plain if not word.startswith("@") and self.allows(word)))

    def line_for(self, name: str, host: HostFacts) -> str:
        """Return the line that is to blame for the denial of a call: the one that takes it out, else the first, which
        does not let it in."""
        blamed = self.lines[0]
        let_in = not self.allow_list
        for line in self.lines:
            words = frozenset(word.partition(":")[0] for word in line.removeprefix("~").split())
            if name in host.expand(words):
                blamed = line if line.startswith("~") and (let_in or ":" in line) else blamed
                let_in = not line.startswith("~")
        return blamed


def parse_system_call_list(assignments: Sequence[str], host: HostFacts) -> SystemCallList | None:
    """Read assignments as ``config_parse_syscall_filter`` in systemd's ``load-fragment.c``; ``None``: no filter.

    The first line since the last reset decides between allow-list and deny-list; unknown names and groups are skipped.
    """
    allow_list: bool | None = None
    entries: dict[str, str] = {}
    lines: list[str] = []
    for line in (assignment.strip() for assignment in assignments):
        if not line:
            allow_list, entries, lines = None, {}, []
            continue
        inverted = line.startswith("~")
        if allow_list is None:
            allow_list = not inverted
            entries = dict.fromkeys(host.syscall_sets.get("@default", ()) if allow_list else (), "")
        lines.append(line)
        for word in line.removeprefix("~").split():
            _take(word, inverted, allow_list, entries, host)
    return None if allow_list is None else SystemCallList(allow_list, frozenset(entries.items()), tuple(lines))


def _take(word: str, inverted: bool, allow_list: bool, entries: dict[str, str], host: HostFacts) -> None:
    """Add or remove what one word stands for (``seccomp_parse_syscall_filter`` in ``seccomp-util.c``)."""
    name, colon, error = word.partition(":")
    answer = (KILLED if error == "kill" else error_name(error)) if colon else ""
    if colon and not (answer and inverted):
        return
    sets_error = inverted and allow_list and answer and host.systemd_version >= ERRORS_IN_ALLOW_LISTS
    for call in _calls(name, host):
        if inverted != allow_list or sets_error:
            entries[call] = answer
        else:
            entries.pop(call, None)


def _calls(name: str, host: HostFacts) -> frozenset[str]:
    if name.startswith("@"):
        return host.syscall_sets.get(name, frozenset())
    known = host.known_calls
    return frozenset({name}) if name in known or not known else frozenset()


def error_name(word: str) -> str:
    """Return the name of an errno that is given by name or number, or an empty string for what is neither.

    Source: ``parse_errno`` in systemd's ``src/basic/parse-util.c``.
    """
    if word.isascii() and word.isdecimal():
        return _ERRORS.get(int(word), "")
    return _ERRORS.get(getattr(errno, word, 0), "") if word.startswith("E") else ""


_ERRORS: dict[int, str] = dict(errno.errorcode) | {
    errno.EAGAIN: "EAGAIN",
    errno.EDEADLK: "EDEADLK",
    errno.EOPNOTSUPP: "EOPNOTSUPP",
}
# Where two names share a number, the one that systemd and strace print.


def exact_form(needed: frozenset[str], host: HostFacts) -> tuple[str, ...]:
    """Return the lines for the calls that are needed and @default, which systemd adds by itself."""
    default = host.syscall_sets.get("@default", frozenset())
    names = _names(needed - default) or ("@default",)
    return (*names, *_missing_newcomers(needed | default, host))


def group_form(needed: frozenset[str], host: HostFacts) -> tuple[str, ...]:
    """Return the lines for @system-service without the groups that nothing used, and with the calls that are needed.

    A group of which anything is needed goes as well, and what is needed of it comes back by name.
    """
    default = host.syscall_sets.get("@default", frozenset())
    allowed = host.syscall_sets["@system-service"] | default
    taken_out = []
    for group in REMOVABLE_GROUPS:
        members = host.syscall_sets.get(group, frozenset())
        if members & allowed and not members & default:
            taken_out.append(group)
            allowed -= members
    added = needed - allowed
    removal = [f"~{' '.join(taken_out)}"] if taken_out else []
    return ("@system-service", *removal, *_names(added), *_missing_newcomers(allowed | added, host))


def survivable(lines: Sequence[str], own: SystemCallList, host: HostFacts) -> tuple[str, ...]:
    """Return the lines with EPERM for what they take away of that which the unit's own list lets through.

    For a unit whose own filter kills: that is for what the unit denies itself, not for what merely was not recorded.
    """
    if host.systemd_version < ERRORS_IN_ALLOW_LISTS:
        return tuple(lines)
    return tuple(
        f"~{' '.join(word for group in line[1:].split() for word in _survivable(group, own, host))}"
        if line.startswith("~") and ":" not in line
        else line
        for line in lines
    )


def _survivable(word: str, own: SystemCallList, host: HostFacts) -> list[str]:
    members = _calls(word, host)
    passing = sorted(name for name in members if own.allows(name))
    if len(passing) == len(members):
        return [f"{word}:EPERM"]
    return [word, *(f"{name}:EPERM" for name in passing)]


def whole_group_form(needed: frozenset[str], host: HostFacts) -> tuple[str, ...]:
    """Return the lines for all of @system-service and the calls that are needed besides."""
    allowed = host.syscall_sets["@system-service"] | host.syscall_sets.get("@default", frozenset())
    added = needed - allowed
    return ("@system-service", *_names(added), *_missing_newcomers(allowed | added, host))


def deny_list_form(needed: frozenset[str], host: HostFacts) -> tuple[str, ...]:
    """Return the lines that deny the weighty groups but for what is needed of them.

    Calls whose names the target cannot read pass such a list; no allow-list can let them through.
    """
    groups = [group for group in WEIGHTY_GROUPS if group in host.syscall_sets]
    denied = host.expand(frozenset(groups))
    return (f"~{' '.join(groups)}", *_names(needed & denied))


def _names(names: frozenset[str]) -> tuple[str, ...]:
    return (" ".join(sorted(names)),) if names else ()


def _missing_newcomers(allowed: frozenset[str], host: HostFacts) -> tuple[str, ...]:
    """Return the line that answers ENOSYS to calls that programs replace by older ones only then."""
    if not ERRORS_IN_ALLOW_LISTS <= host.systemd_version < DEFAULT_IS_ENOSYS:
        return ()
    missing = [name for name in ENOSYS_NEWCOMERS if name in host.known_calls and name not in allowed]
    return (f"~{' '.join(f'{name}:ENOSYS' for name in missing)}",) if missing else ()


def intersection(first: SystemCallList, own: SystemCallList, host: HostFacts, default: str = KILLED) -> SystemCallList:
    """Return the list that lets through what both let through: ``first`` with what ``own`` denies taken out.

    The answers that the unit's own list gives to single calls are kept. ``default`` is the answer of the whole list, by
    SystemCallErrorNumber=.
    """
    base, other = (own, first) if own.allow_list and not first.allow_list else (first, own)
    calls = host.known_calls | {name for name, _ in first.entries | own.entries}
    lost = {name for name in calls if base.allows(name) and not other.allows(name)}
    base = parse_system_call_list(_without_names(base.lines, lost), host) or base
    answers = dict(other.entries)
    words = {name: answers.get(name, "") for name in lost if base.allows(name)}
    words |= {name: answer for name, answer in own.entries if answer and not base.allows(name)}
    refused = "ENOSYS" if host.systemd_version >= DEFAULT_IS_ENOSYS else default
    line = " ".join(_with_answer(name, answer, base, refused) for name, answer in sorted(words.items()))
    both = parse_system_call_list((*base.lines, f"~{line}"), host) if line else base
    return own if both == own or both is None else both


def _without_names(lines: Sequence[str], names: set[str]) -> list[str]:
    """Return the lines behind the first without calls that they would add by name and that are to go again."""
    shortened = [
        line if line.startswith("~") else " ".join(word for word in line.split() if word not in names)
        for line in lines[1:]
    ]
    return [lines[0], *filter(None, shortened)]


def _with_answer(name: str, answer: str, base: SystemCallList, refused: str) -> str:
    """Return the word for a call with an answer of its own; libseccomp refuses the answer of a whole allow-list."""
    if not answer or (answer == refused and base.allow_list):
        return name
    return f"{name}:{'kill' if answer == KILLED else answer}"
