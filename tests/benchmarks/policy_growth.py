"""How generate and replay grow with the number of facts: time and memory of the whole command."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import count, cycle, islice
from pathlib import Path

from policy.behaviour import Access, Fact, FileKind, PathPair, PathUse, Phase, SocketAddress, SystemCall
from policy.service_profile import Profile, dumps
from tests.benchmarks.row import Row
from tests.policy.services import web_server

NAME = "generate and replay, from 1,000 to 100,000 facts"
COMMAND = Path(sys.prefix) / "bin" / "unit-tailor"
SIZES = {1_000: 5, 20_000: 5, 100_000: 1}
PROMISED = 20_000
SECONDS = 1.0
MEBIBYTES = 200.0
KIBIBYTES_PER_MEBIBYTE = 1024


def measure() -> list[Row]:
    """Measure both commands for each size."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="unit-tailor-bench-") as place:
        for size, runs in SIZES.items():
            recorded, drop_in = Path(place) / f"{size}.profile", Path(place) / f"{size}.conf"
            recorded.write_text(dumps(large_profile(size)), encoding="utf-8")
            generate = ["generate", str(recorded), "--systemd", "252", "-q", "-f", "-o", str(drop_in)]
            replay = ["replay", str(recorded), str(drop_in), "--systemd", "252", "-q"]
            for command in (generate, replay):
                rows += _rows(size, command, runs)
    return rows


def large_profile(size: int) -> Profile:
    """Return the profile of a busy web server: many files read, made, renamed and not found, many peers."""
    small = web_server()
    return Profile(small.header, frozenset((*small.facts, *islice(_busy(), size - len(small.facts)))))


def _busy() -> Iterator[Fact]:
    phases = cycle(Phase)
    for number in count():
        phase, user = next(phases), 33 if number % 3 else 0
        directory = f"/var/lib/web/{number % 40}"
        match number % 10:
            case 0 | 1 | 2 | 3:
                path = f"/usr/share/web/{number % 97}/template-{number}.html"
                yield Fact(PathUse(path, Access.READ, FileKind.REGULAR), phase=phase, user=user)
            case 4:
                path = f"/etc/web/conf.d/{number}.conf"
                yield Fact(PathUse(path, Access.LOOKUP), "ENOENT", phase, user=user)
            case 5 | 6:
                path = f"{directory}/object-{number}"
                yield Fact(PathUse(path, Access.CREATE, FileKind.REGULAR), phase=phase, user=user)
            case 7:
                yield Fact(PathPair("rename", f"{directory}/{number}.new", f"{directory}/{number}"), user=user)
            case 8:
                peer = f"198.51.{number // 250 % 250}.{number % 250}"
                yield Fact(SocketAddress("accept", "AF_INET", "SOCK_STREAM", peer, 1024 + number % 60000), user=user)
            case 9:
                yield Fact(SystemCall(("read", "write", "openat", "close")[number % 4]), phase=phase, user=number)


def _rows(size: int, command: list[str], runs: int) -> list[Row]:
    measured = [_run([str(COMMAND), *command]) for _ in range(runs)]
    promised = size == PROMISED
    elapsed, busy, memory = ([one[column] for one in measured] for column in (0, 1, 2))
    return [
        Row.of(f"{command[0]}, {size:,} facts", busy, "s", bar=SECONDS if promised else None),
        Row.of(f"{command[0]}, {size:,} facts: by the clock", elapsed, "s"),
        Row.of(f"{command[0]}, {size:,} facts: memory", memory, "MiB", bar=MEBIBYTES if promised else None),
    ]


_ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
# As for users, whose Python keeps what it compiled.


def _run(command: list[str]) -> tuple[float, float, float]:
    """Return the seconds that a command took, those of the processor, and its largest resident memory in MiB.

    The processor's are what is promised: they do not depend on what else the machine has to do. It must exit 0.
    """
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=_ENVIRONMENT)
    with process:
        assert process.stderr is not None
        said = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"error: {' '.join(command)} exited with {process.returncode}: {said[-400:]!a}")
    busy = usage.ru_utime + usage.ru_stime
    return time.perf_counter() - started, busy, usage.ru_maxrss / KIBIBYTES_PER_MEBIBYTE
