"""The eBPF recorder on commands of this host, by each of its loaders."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from profiler.recorders.ebpf.availability import availability
from profiler.recorders.ebpf.loading import Loader, wanted
from tests.requirements import require


@pytest.fixture(autouse=True, params=[Loader.LIBBPF, Loader.BCC])
def loader(request: pytest.FixtureRequest) -> Iterator[Loader]:
    """Each loader in turn, as ``--ebpf-loader`` chooses it. The same tests hold for both."""
    token = wanted.set(request.param)
    try:
        answer = availability(needs_groups=False)
        require(answer.available, f"the eBPF recorder cannot work here by {request.param}: {answer.reason}")
        yield request.param
    finally:
        wanted.reset(token)
