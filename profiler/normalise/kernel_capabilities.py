"""Which of the capability checks that the kernel made and granted decided anything.

The kernel asks more often than it needs to know. The function that asked tells: some only want to know whether a limit
may be passed or something shown, some would only drop a mode bit.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from policy.capability_names import CAPABILITIES

_CHECKS = frozenset(
    {"cap_capable", "cap_capable_helper", "security_capable", "capable", "ns_capable", "ns_capable_common"}
    | {"ns_capable_noaudit", "ns_capable_setid", "capable_wrt_inode_uidgid", "file_ns_capable", "has_capability"}
    | {"has_ns_capability", "has_ns_capability_noaudit", "has_capability_noaudit", "privileged_wrt_inode_uidgid"}
    | {"bpf_capable", "perfmon_capable", "checkpoint_restore_ns_capable", "selinux_capable", "apparmor_capable"}
    | {"sk_ns_capable", "sk_capable", "sk_net_capable", "netlink_capable", "netlink_net_capable", "netlink_ns_capable"}
    | {"sockopt_ns_capable", "sockopt_capable", "bpf_token_capable", "__netlink_ns_capable"}
)
"""The functions through which a check passes on its way (kernel/capability.c and what wraps it)."""

_NOISE = frozenset(
    {"security_vm_enough_memory_mm", "__vm_enough_memory", "cap_vm_enough_memory"}  # overcommit accounting
    | {"bpf_int_jit_compile", "do_jit", "bpf_jit_charge_modmem"}  # whether generated code is hardened
    | {"io_uring_setup", "io_uring_create", "__x64_sys_io_uring_setup", "__se_sys_io_uring_setup"}  # accounting
    | {"array_map_alloc"}  # whether speculation is guarded against in look-ups (kernel/bpf/arraymap.c)
    | {"kallsyms_show_value", "oom_badness", "simple_xattr_list", "xattr_list_one"}  # what is shown
)

_NOISY = ("inet_diag_", "__inet_diag_", "tcp_diag_", "udp_diag_")  # whether marks and the like are shown to ss(8)

_NOISE_WITHOUT = dict.fromkeys(("__vsock_create", "vsock_create"), "vmci_transport_recv_stream_cb")
"""Functions that only note the answer, for another function: whoever has CAP_NET_ADMIN makes a trusted vsock, and only
VMware's transport asks whether one is (net/vmw_vsock/af_vsock.c, vmci_transport.c)."""

_PRIVILEGED_READERS = frozenset({"net_ctl_permissions", "set_permissions", "pid_table_root_permissions"})
"""Below /proc/sys/net and /proc/sys/user, and for pid_max, whoever has the capability counts as root, which is asked
first; root itself does not need it (kernel/pid_namespace.c, net/sysctl_net.c, kernel/ucount.c)."""

_CHEAPER = {("ioprio_check_cap", "CAP_SYS_ADMIN"): "CAP_SYS_NICE"}
"""Where the kernel asks for the greater capability first and would be content with another one (block/ioprio.c)."""

_FLAGS_AT = {"open": 1, "openat": 2}
_WRITING = 0o3

_MODE_BITS = frozenset(
    {"setattr_prepare", "setattr_copy", "setattr_copy_mgtime", "setattr_should_drop_sgid", "in_group_or_capable"}
    | {"setattr_should_drop_suidgid", "should_remove_suid", "file_remove_privs", "__file_remove_privs"}
    | {"file_remove_privs_flags", "inode_init_owner", "mode_strip_sgid", "dentry_needs_remove_privs", "setattr_drop"}
    | {"file_modified", "file_modified_flags", "vfs_prepare_mode", "notify_change"}
)
"""CAP_FSETID asked by these: without it a set-id bit is dropped, and nothing fails."""

_MODE_AT = {
    "chmod": 1,
    "fchmod": 1,
    "fchmodat": 2,
    "fchmodat2": 2,
    "mkdir": 1,
    "mkdirat": 2,
    "mknod": 1,
    "mknodat": 2,
    "open": 2,
    "creat": 1,
    "openat": 3,
}
_SET_ID = 0o6000


def name_of(number: int) -> str:
    """Return the capability's name; a number for one that is newer than this table."""
    return CAPABILITIES[number] if number < len(CAPABILITIES) else f"CAP_{number}"


def asker(functions: Sequence[str]) -> str:
    """Return the function that asked: the first one behind the check itself; empty if nobody knows.

    ``functions`` are those of the stack, innermost first, without a name (empty) where it is not known.
    """
    checks = [index for index, name in enumerate(functions) if name in _CHECKS]
    if not checks or checks[-1] + 1 >= len(functions):
        return ""
    return functions[checks[-1] + 1]


def decides(
    capability: str,
    function: str,
    call: str,
    arguments: Sequence[int],
    user: int = 0,
    *,
    present: Callable[[str], bool] = lambda _name: True,
) -> bool:
    """Whether a granted check of this capability, asked by this function in this call, can have decided anything.

    ``user`` is the effective user id, ``present`` says whether the kernel has a function. Whatever is not known is
    taken as needed.
    """
    if function in _NOISE_WITHOUT and not present(_NOISE_WITHOUT[function]):
        return False
    if function in _NOISE or function.startswith(_NOISY) or ("xattr" in function and function.endswith("list")):
        return False
    if function in _PRIVILEGED_READERS:
        reading = call in _FLAGS_AT and not arguments[_FLAGS_AT[call]] & _WRITING
        return user != 0 and not reading
    if capability == "CAP_FSETID" and function in _MODE_BITS:
        at = _MODE_AT.get(call)
        return at is not None and bool(arguments[at] & _SET_ID)
    return True


def cheapest(capability: str, function: str, held: Collection[str]) -> str:
    """Return the least of the capabilities that the caller ``held`` with which this function is content too."""
    cheaper = _CHEAPER.get((function, capability), capability)
    return cheaper if cheaper in held else capability


def in_words(call: str, function: str) -> str:
    """Return the reason in the words of a fact."""
    where = call if not call.startswith("syscall_") else "the kernel"
    return f"{where}: asked by {function}()" if function else f"{where}: asked by the kernel (where is not visible)"
