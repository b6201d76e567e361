"""Directories for state that belong to the accounts as which a service runs: made for it, used or not."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from policy.behaviour import Fact, PathUse
from policy.sandbox.mount_entry import is_below, parent_of
from policy.unit_settings import UnitSettings
from profiler.machine import Machine

TREES = ("/var/lib", "/var/log", "/var/cache", "/var/spool")
"""Where packages make them: what is kept, logged, cached and queued (hier(7))."""

SYSTEM_ACCOUNTS = range(1, 1000)
"""User ids that packages give to their services (SYS_UID_MAX of login.defs(5)); those above are people, and nobody."""


@dataclass(frozen=True)
class _Account:
    name: str
    uid: int
    gid: int


def account_directories(machine: Machine, settings: UnitSettings, facts: Iterable[Fact]) -> tuple[str, ...]:
    """Return the directories for state that accounts of a service may write to, sorted.

    Its accounts are User=, and the system accounts as which it was seen to run; never root. They may write to what
    is theirs, and to what is their group's if it may: right below the trees for state whether it was used or not,
    deeper in them and in /etc where it was.
    """
    facts = tuple(facts)
    seen = {fact.user for fact in facts} & set(SYSTEM_ACCOUNTS)
    configured = "" if settings.dynamic_user or settings.runs_as_root else settings.user
    accounts = [
        account
        for account in _accounts(machine)
        if account.uid in seen or (account.uid and configured in {account.name, str(account.uid)})
    ]
    if not accounts:
        return ()
    own: list[str] = []
    for path in sorted({*_right_below(machine), *_used(facts)}):
        if not any(is_below(path, other) for other in own) and _may_write(accounts, machine.path(path)):
            own.append(path)
    return tuple(own)


def _accounts(machine: Machine) -> Iterator[_Account]:
    text = ""
    with contextlib.suppress(OSError):  # a machine without it has no accounts but root
        text = machine.path("/etc/passwd").read_text(encoding="utf-8", errors="surrogateescape")
    for line in text.splitlines():
        name, _, *numbers = [*line.split(":"), "", "", ""][:4]
        if all(number.isdecimal() for number in numbers):
            yield _Account(name, *map(int, numbers))


def _right_below(machine: Machine) -> Iterator[str]:
    for tree in TREES:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            yield from (f"{tree}/{entry.name}" for entry in machine.path(tree).iterdir())


def _used(facts: Iterable[Fact]) -> set[str]:
    # Whatever of the trees was used, and all directories above it.
    found: set[str] = set()
    for fact in facts:
        path = fact.behaviour.path if isinstance(fact.behaviour, PathUse) else ""
        while any(is_below(path, tree) for tree in (*TREES, "/etc")) and path not in found:
            found.add(path)
            path = parent_of(path)
    return found


def _may_write(accounts: Iterable[_Account], place: Path) -> bool:
    try:
        found = place.lstat()
    except OSError:
        return False
    groups = {account.gid for account in accounts if account.gid} if found.st_mode & stat.S_IWGRP else set()
    owned = any(found.st_uid == account.uid for account in accounts) or found.st_gid in groups
    return stat.S_ISDIR(found.st_mode) and owned
