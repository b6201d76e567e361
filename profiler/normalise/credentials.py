"""Who a process is to the kernel: its ids and capabilities, and how set*id(), capset() and execve() change them.

Rules from capabilities(7), credentials(7) and security/commoncap.c of Linux 6.x.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from policy.capability_names import CAPABILITIES


def capabilities_in(bits: int) -> frozenset[str]:
    """Return the names of the capabilities in a set as a number; bits without a name are left out."""
    return frozenset(name for number, name in enumerate(CAPABILITIES) if bits >> number & 1)


ALL = frozenset(CAPABILITIES)
NONE: frozenset[str] = frozenset()

_FILE_SYSTEM = frozenset(
    {"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_LINUX_IMMUTABLE"}
    | {"CAP_MKNOD", "CAP_MAC_OVERRIDE"}
)  # CAP_FS_SET: what follows the file system uid


@dataclass(frozen=True)
class Ids:
    """The four user or group ids of a process."""

    real: int = 0
    effective: int = 0
    saved: int = 0
    file_system: int = 0

    @classmethod
    def same(cls, number: int) -> Ids:
        """Return ids that are all this number."""
        return cls(number, number, number, number)

    @property
    def has_root(self) -> bool:
        """Whether the real, effective or saved id is 0."""
        return 0 in {self.real, self.effective, self.saved}


@dataclass(frozen=True)
class FilePrivileges:
    """What a program file gives to the process that executes it; ``None`` and empty for an ordinary file."""

    user: int | None = None
    group: int | None = None
    permitted: frozenset[str] = NONE
    effective: bool = False


@dataclass(frozen=True)
class Credentials:
    """A thread's credentials. The default is what PID 1's children start with: root with everything."""

    user: Ids = Ids()
    group: Ids = Ids()
    groups: frozenset[int] = frozenset()
    permitted: frozenset[str] = ALL
    effective: frozenset[str] = ALL
    inheritable: frozenset[str] = NONE
    ambient: frozenset[str] = NONE
    bounding: frozenset[str] = ALL
    keep_capabilities: bool = False
    root_is_ordinary: bool = False  # SECBIT_NOROOT
    no_fixup: bool = False  # SECBIT_NO_SETUID_FIXUP
    no_new_privileges: bool = False
    in_user_namespace: bool = False  # of the service's own: its capabilities there need none outside

    def holds(self, capability: str) -> bool:
        """Whether a check of this capability against the machine's own user namespace succeeds."""
        return capability in self.effective and not self.in_user_namespace

    def in_group(self, group: int) -> bool:
        """Whether the file system gid or a supplementary group is this one (in_group_p of the kernel)."""
        return group == self.group.file_system or group in self.groups

    def with_user(self, user: Ids) -> Credentials:
        """Return the credentials after setuid() and its kin, with the effect on capabilities."""
        changed = replace(self, user=user)
        if self.no_fixup:
            return changed
        if self.user.has_root and not user.has_root:
            if not self.keep_capabilities:
                changed = replace(changed, permitted=NONE, effective=NONE)
            changed = replace(changed, ambient=NONE)
        if self.user.effective == 0 and user.effective != 0:
            changed = replace(changed, effective=NONE)
        elif self.user.effective != 0 and user.effective == 0:
            changed = replace(changed, effective=changed.permitted)
        return changed

    def with_file_system_user(self, user: Ids) -> Credentials:
        """Return the credentials after setfsuid(): only this call moves the file system capabilities."""
        changed = replace(self, user=user)
        if not self.no_fixup and self.user.file_system == 0 and user.file_system != 0:
            changed = replace(changed, effective=changed.effective - _FILE_SYSTEM)
        elif not self.no_fixup and self.user.file_system != 0 and user.file_system == 0:
            changed = replace(changed, effective=changed.effective | (changed.permitted & _FILE_SYSTEM))
        return changed

    def executed(self, file: FilePrivileges) -> Credentials:
        """Return the credentials after execve() of a program with these privileges."""
        if self.no_new_privileges:
            file = FilePrivileges()
        user = self.user.effective if file.user is None else file.user
        group = self.group.effective if file.group is None else file.group
        privileged = file != FilePrivileges()
        ambient = NONE if privileged else self.ambient
        file_permitted, file_inheritable, file_effective = file.permitted, NONE, file.effective
        if not self.root_is_ordinary and not (file.permitted and self.user.real != 0) and 0 in (user, self.user.real):
            file_permitted, file_inheritable, file_effective = ALL, ALL, user == 0
        permitted = (self.inheritable & file_inheritable) | (file_permitted & self.bounding) | ambient
        return replace(
            self,
            user=Ids(self.user.real, user, user, user),
            group=Ids(self.group.real, group, group, group),
            permitted=permitted,
            effective=permitted if file_effective else ambient,
            ambient=ambient,
            keep_capabilities=False,
        )


def set_ids(call: str, ids: Ids, wanted: tuple[int | None, ...], capable: bool) -> Ids | None:
    """Return the ids after a set*id() call, ``None`` if the kernel refuses it; ``None`` in ``wanted`` keeps an id.

    ``call`` is the name without what it sets: ``set``, ``setre``, ``setres`` or ``setfs``.
    """
    rule = {"set": _set, "setre": _set_real_effective, "setres": _set_all, "setfs": _set_file_system}[call]
    return rule(ids, wanted, capable)


def _set(ids: Ids, wanted: tuple[int | None, ...], capable: bool) -> Ids | None:
    target = ids.effective if wanted[0] is None else wanted[0]
    if capable:
        return Ids.same(target)
    return Ids(ids.real, target, ids.saved, target) if target in {ids.real, ids.saved} else None


def _set_real_effective(ids: Ids, wanted: tuple[int | None, ...], capable: bool) -> Ids | None:
    real = ids.real if wanted[0] is None else wanted[0]
    effective = ids.effective if wanted[1] is None else wanted[1]
    current = {ids.real, ids.effective}
    if not capable and (real not in current or effective not in current | {ids.saved}):
        return None
    renewed = wanted[0] is not None or (wanted[1] is not None and effective != ids.real)
    return Ids(real, effective, effective if renewed else ids.saved, effective)


def _set_all(ids: Ids, wanted: tuple[int | None, ...], capable: bool) -> Ids | None:
    current = (ids.real, ids.effective, ids.saved)
    real, effective, saved = (old if new is None else new for old, new in zip(current, wanted, strict=True))
    return Ids(real, effective, saved, effective) if capable or {real, effective, saved} <= set(current) else None


def _set_file_system(ids: Ids, wanted: tuple[int | None, ...], capable: bool) -> Ids | None:
    target = ids.file_system if wanted[0] is None else wanted[0]
    allowed = capable or target in {ids.real, ids.effective, ids.saved, ids.file_system}
    return replace(ids, file_system=target) if allowed else None
