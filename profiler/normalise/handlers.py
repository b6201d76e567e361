"""All functions that make facts of calls: the modules that hold them register them when they are imported."""

from __future__ import annotations

from profiler.normalise import (  # noqa: F401
    files,
    identities,
    ipc,
    kernel,
    memory,
    metadata,
    namespaces,
    network,
    opens,
    placement,
    privileged,
    socket_options,
)
from profiler.normalise.sighting import HANDLERS

__all__ = ["HANDLERS"]
