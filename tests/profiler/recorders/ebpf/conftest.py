"""The eBPF recorder on commands of this host."""

from __future__ import annotations

import pytest

from profiler.recorders.ebpf.availability import availability
from tests.requirements import require


@pytest.fixture(scope="session", autouse=True)
def _kernel_takes_programs() -> None:
    answer = availability(needs_groups=False)
    require(answer.available, f"the eBPF recorder cannot work here: {answer.reason}")
