"""The capabilities of the kernel by name, in the order of their numbers (capabilities(7), linux/capability.h)."""

CAPABILITIES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
)
"""All 41 of them, as Linux 5.9 and later have them; number 40 is the last."""

ALL_CAPABILITIES = frozenset(CAPABILITIES)

KNOWN_SINCE = {"CAP_PERFMON": 247, "CAP_BPF": 247, "CAP_CHECKPOINT_RESTORE": 247}
"""Names that were new to systemd within the range of versions that this project knows; older ones are in all of them.

``src/basic/cap-list.c`` takes its names from the kernel headers of the build, so distributions can differ; for these
the older systemd is assumed not to know them.
"""


def parse_capability_names(words: str, version: int) -> frozenset[str]:
    """Return the capabilities that systemd recognises among these words: names in any case, and numbers.

    Others are skipped (``capability_set_from_string`` in systemd's ``src/basic/cap-list.c``).
    """
    return frozenset(name for word in words.split() if (name := _capability_name(word)) and knows(name, version))


def knows(name: str, version: int) -> bool:
    """Whether a systemd of this version can read the name."""
    return name in ALL_CAPABILITIES and KNOWN_SINCE.get(name, 0) <= version


def _capability_name(word: str) -> str:
    if word.isdecimal() and word.isascii():
        return CAPABILITIES[int(word)] if int(word) < len(CAPABILITIES) else ""
    return word.upper()


def in_order(names: frozenset[str]) -> tuple[str, ...]:
    """Return the names in the order of their numbers."""
    return tuple(name for name in CAPABILITIES if name in names)
