"""What a twin costs: to boot (beside systemd-nspawn alone, to the same target), to use, to remove."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from profiler import run, twin
from tests.benchmarks.row import Row

NAME = "twin: boot, one command, removal"
RUNS = 7

PLAIN = """
import json, os, re, secrets, shutil, socket, subprocess, sys, time
from pathlib import Path
from profiler.twin import cgroups, nspawn

runs, place = int(sys.argv[1]), Path(sys.argv[2])
took = []
for number in range(runs):
    top = place / str(number)
    for name in ("upper", "work", "merged"):
        (top / name).mkdir(parents=True)
    data = f"lowerdir=/,upperdir={top}/upper,workdir={top}/work"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", data, top / "merged"], check=True)
    nspawn.furnish(top / "merged")
    places = cgroups.places_for(f"plain-{secrets.token_hex(4)}")
    cgroups.make(places)
    ears = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    ears.bind("\\0" + (address := secrets.token_hex(8)))
    ears.settimeout(60)
    command = ["systemd-nspawn", "--quiet", f"--directory={top}/merged", f"--machine=plain{number}", "--boot",
               "--keep-unit", "--register=no", "--private-network", "--notify-ready=yes", "--console=pipe",
               "--link-journal=no", "--capability=all", "--", f"--unit={nspawn.TARGET}", "fstab=no",
               *(f"systemd.mask={unit}" for unit in nspawn.MASKED)]
    environment = {**os.environ, **nspawn.environment({"NOTIFY_SOCKET": "@" + address})}
    began = time.perf_counter()
    process = subprocess.Popen(cgroups.joining(places, command), env=environment,
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not re.search(rb"^READY=1$", ears.recv(65536), re.MULTILINE):
        pass
    took.append(1000 * (time.perf_counter() - began))
    cgroups.end(places)
    process.wait()
    subprocess.run(["umount", "--lazy", top / "merged"], check=True)
    shutil.rmtree(top)
print(json.dumps(took))
"""


def measure() -> list[Row]:
    """Measure both side by side, in turns, so that a busy machine slows both."""
    twin.require_possible()
    plain: list[float] = []
    up: list[float] = []
    down: list[float] = []
    inside: list[float] = []
    outside: list[float] = []
    for _ in range(RUNS):
        plain += _plain_boots(1)
        began = time.perf_counter()
        machine = twin.up()
        up.append(1000 * (time.perf_counter() - began))
        try:
            inside += [_milliseconds(lambda machine=machine: machine.run(["true"])) for _ in range(10)]  # type: ignore[misc]
            outside += [_milliseconds(lambda: run.run(["true"])) for _ in range(10)]
        finally:
            down.append(_milliseconds(machine.down))
    booted = Row.of("twin.up()", up, "ms", bar=1500)
    bare = Row.of("systemd-nspawn alone, to the same target", plain, "ms")
    return [
        bare,
        booted,
        Row("twin.up() / systemd-nspawn alone", booted.median / bare.median, "times", samples=RUNS, bar=3),
        Row.of("twin.down()", down, "ms", bar=500),
        Row.of("one command in a twin", inside, "ms", bar=50),
        Row.of("one command on this machine", outside, "ms"),
    ]


def _plain_boots(number: int) -> list[float]:
    place = Path(f"/var/lib/unit-tailor-benchmark-{time.monotonic_ns()}")
    command = ["unshare", "--mount", "--propagation", "private", sys.executable, "-c", PLAIN, str(number), str(place)]
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    finally:
        subprocess.run(["rm", "-rf", "--one-file-system", str(place)], check=True)
    measured: list[float] = json.loads(done.stdout)
    return measured


def _milliseconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)
