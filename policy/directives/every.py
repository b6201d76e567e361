"""Imports every section, and says in which order a drop-in lists their directives."""

from policy.directives import (
    bind_paths,
    capabilities,
    devices,
    file_system_types,
    home,
    identity,
    kernel,
    memory,
    namespaces,
    network,
    network_control,
    paths,
    scheduling,
    system_calls,
    temporary,
)

SECTIONS = tuple(
    module.__name__
    for module in (
        bind_paths,
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
)
"""The modules in the order of a drop-in; it does not depend on what was imported first."""
