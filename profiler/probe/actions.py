"""Which action shows a behaviour: one entry for each type of behaviour."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from policy.behaviour import (
    Behaviour,
    CapabilityUsed,
    ClockUsed,
    DeviceNodeMade,
    FileDescriptorUsed,
    IpcUsed,
    KeyringUsed,
    MemoryMapped,
    Mounted,
    NamespaceUsed,
    PathPair,
    PathUse,
    PersonalityChanged,
    PrivilegeGained,
    SchedulingSet,
    SignalSent,
    SocketAddress,
    SocketOpened,
    SpecialModeSet,
    SystemCall,
)
from profiler.probe import call_actions, path_actions
from profiler.probe.action import Action, NotProbed, Variant

_OF_A_USER: dict[type[Behaviour], Callable[[Any, int, str], Action | NotProbed]] = {
    PathUse: path_actions.use_action,
    PathPair: path_actions.pair_action,
    DeviceNodeMade: path_actions.node_action,
}
"""Those whose scene depends on who does it, and on how it came out."""

_OF_ANYBODY: dict[type[Behaviour], Callable[[Any], Action | NotProbed]] = {
    SocketOpened: call_actions.socket_action,
    SocketAddress: call_actions.address_action,
    SystemCall: call_actions.system_call_action,
    CapabilityUsed: lambda _used: Action(lambda _here: "", variant=Variant.EXACT),  # the kernel is asked from outside
    MemoryMapped: call_actions.memory_action,
    NamespaceUsed: call_actions.namespace_action,
    PersonalityChanged: call_actions.personality_action,
    SchedulingSet: call_actions.scheduling_action,
    SpecialModeSet: call_actions.mode_action,
    PrivilegeGained: lambda _gained: NotProbed("a program that gives privileges is not executed"),
    Mounted: call_actions.mount_action,
    ClockUsed: call_actions.clock_action,
    IpcUsed: call_actions.ipc_action,
    KeyringUsed: call_actions.keyring_action,
    SignalSent: call_actions.signal_action,
    FileDescriptorUsed: call_actions.descriptor_action,
}


@lru_cache(maxsize=100_000)
def action_for(behaviour: Behaviour, user: int, outcome: str) -> Action | NotProbed:
    """Return how a behaviour of a user is done again so that it can come out as it did, or why it is not."""
    of_a_user = _OF_A_USER.get(type(behaviour))
    return of_a_user(behaviour, user, outcome) if of_a_user else _OF_ANYBODY[type(behaviour)](behaviour)
