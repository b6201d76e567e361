"""What a report costs: to compute and write for a large service, to open in a browser, and how large it is.

Needs Chromium (tools/setup_chromium.sh) and a machine that can make twins.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from policy.report.build import report
from policy.service_profile import Profile
from profiler.generation import generate
from profiler.host import read_host_facts
from profiler.machine import Host
from profiler.report.page import page
from tests.benchmarks.row import Row
from tests.chromium import chromium
from tests.system.daemons import record_daemon

NAME = "the report on PostgreSQL"
RUNS = 7
MIB = 1024 * 1024


def measure() -> list[Row]:
    """Record the daemon once, then write and open its page again and again, each time in a new browser."""
    profile = record_daemon("postgresql")
    writing, opening, painting = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "page.html"
        for _ in range(RUNS):
            began = time.perf_counter()
            place.write_text(_page(profile), encoding="utf-8")
            writing.append(time.perf_counter() - began)
            with chromium() as browser:
                opened = browser.open(place)
            opening.append(opened.seconds)
            painting.append(opened.painted)
        size = place.stat().st_size / MIB
    return [
        Row.of(f"decide, report and render {len(profile.facts)} facts", writing, "s"),
        Row("size of the page", size, "MiB", bar=2.0),
        Row.of("from opening it to the load event", opening, "s", bar=1.0),
        Row.of("from opening it to its first contents", painting, "s"),
    ]


def _page(profile: Profile) -> str:
    generated = generate(profile, read_host_facts(Host()))
    return page(report(profile, generated.decision, generated.drop_in, "the drop-in", generated=True))
