"""What a service's exit status means: systemd's own codes 200 to 246 name the step of the set-up that failed.

Source: systemd.exec(5), "Process Exit Codes"; systemd ``src/basic/exit-status.h``, the same in 245 to 262.
"""

from __future__ import annotations

import signal

SET_UP_STEPS = {
    200: ("CHDIR", "WorkingDirectory="),
    201: ("NICE", "Nice="),
    202: ("FDS", "file descriptors"),
    203: ("EXEC", "executing the program (NoExecPaths=, SystemCallFilter= or a missing file)"),
    204: ("MEMORY", "anything: out of memory"),
    205: ("LIMITS", "resource limits"),
    206: ("OOM_ADJUST", "OOMScoreAdjust="),
    207: ("SIGNAL_MASK", "the signal mask"),
    208: ("STDIN", "StandardInput="),
    209: ("STDOUT", "StandardOutput="),
    210: ("CHROOT", "RootDirectory="),
    211: ("IOPRIO", "I/O priority"),
    212: ("TIMERSLACK", "TimerSlackNSec="),
    213: ("SECUREBITS", "SecureBits="),
    214: ("SETSCHEDULER", "CPUSchedulingPolicy="),
    215: ("CPUAFFINITY", "CPUAffinity="),
    216: ("GROUP", "Group= or SupplementaryGroups="),
    217: ("USER", "User= or PrivateUsers="),
    218: ("CAPABILITIES", "CapabilityBoundingSet= or AmbientCapabilities="),
    219: ("CGROUP", "the control group"),
    220: ("SETSID", "a new session"),
    221: ("CONFIRM", "the confirmation of spawning"),
    222: ("STDERR", "StandardError="),
    224: ("PAM", "PAMName="),
    225: ("NETWORK", "PrivateNetwork="),
    226: ("NAMESPACE", "mount namespaces (a path in ReadWritePaths= or the like that does not exist)"),
    227: ("NO_NEW_PRIVILEGES", "NoNewPrivileges="),
    228: ("SECCOMP", "a system call filter"),
    229: ("SELINUX_CONTEXT", "SELinuxContext="),
    230: ("PERSONALITY", "Personality="),
    231: ("APPARMOR", "AppArmorProfile="),
    232: ("ADDRESS_FAMILIES", "RestrictAddressFamilies="),
    233: ("RUNTIME_DIRECTORY", "RuntimeDirectory="),
    235: ("CHOWN", "changing the owner of a socket"),
    236: ("SMACK_PROCESS_LABEL", "SmackProcessLabel="),
    237: ("KEYRING", "KeyringMode="),
    238: ("STATE_DIRECTORY", "StateDirectory="),
    239: ("CACHE_DIRECTORY", "CacheDirectory="),
    240: ("LOGS_DIRECTORY", "LogsDirectory="),
    241: ("CONFIGURATION_DIRECTORY", "ConfigurationDirectory="),
    242: ("NUMA_POLICY", "NUMAPolicy="),
    243: ("CREDENTIALS", "credentials"),
    244: ("BPF", "BPF programs"),
    245: ("KSM", "MemoryKSM="),
    246: ("MEMORY_THP", "MemoryTHP="),
}
"""Exit status to systemd's name for the step, and what the user configures there."""

KILLED, DUMPED = "2", "3"  # CLD_KILLED and CLD_DUMPED of sigaction(2), as ExecMainCode shows them


def failure_in_words(result: str, code: str, status: str) -> str:
    """Return what a unit's Result=, ExecMainCode= and ExecMainStatus= mean, or the empty string for success."""
    if result in {"", "success"}:
        return ""
    number = int(status) if status.isdigit() else 0
    if code in {KILLED, DUMPED}:
        return _signal_in_words(result, number)
    if number in SET_UP_STEPS:
        name, what = SET_UP_STEPS[number]
        return f"{result}, exit status {number}/{name}: systemd could not set up {what}"
    return f"{result}, exit status {number}" if number else result


def _signal_in_words(result: str, number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    because = " (a system call that a filter answers by killing)" if name == "SIGSYS" else ""
    return f"{result}, killed by {name}{because}"
