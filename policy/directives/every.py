"""Imports every section, in the order in which a drop-in lists its directives."""

from policy.directives import (  # noqa: F401  # imported for their registration
    paths,
    temporary,
    home,
    kernel,
    devices,
    capabilities,
    system_calls,
    network,
    namespaces,
    memory,
    scheduling,
    identity,
)
