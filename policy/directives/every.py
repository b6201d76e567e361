"""Imports every section, in the order in which a drop-in lists its directives."""

from policy.directives import (  # noqa: F401, I001  # imported for their registration, in this order
    paths,
    file_system_types,
    temporary,
    home,
    kernel,
    devices,
    capabilities,
    system_calls,
    network,
    network_control,
    namespaces,
    memory,
    scheduling,
    identity,
)
