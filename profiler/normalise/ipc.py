"""System V IPC and POSIX message queues: the objects, whether others share them, and what their modes refuse."""

from __future__ import annotations

from policy.behaviour import IpcUsed
from profiler.normalise import arguments
from profiler.normalise.ipc_objects import EXECUTE, READ, WRITE, IpcOwner
from profiler.normalise.sighting import Sighting, handles
from profiler.recorders.base import Value

_SHARING = {"shmget": "shm", "semget": "sem", "msgget": "msg"}
_USING = {"shmat": "shm", "shmctl": "shm", "semop": "sem", "semtimedop": "sem", "semctl": "sem"} | {
    name: "msg" for name in ("msgsnd", "msgrcv", "msgctl")
}

_WANTED = {"msgrcv": READ, "msgsnd": WRITE, "semop": WRITE, "semtimedop": WRITE}
"""What these want of an object's mode. A semop() that only waits for zero wants less; its operations are not read."""

_COMMANDS = {
    "shmctl": {**dict.fromkeys(("IPC_STAT", "2", "SHM_STAT", "13"), READ)},
    "msgctl": {**dict.fromkeys(("IPC_STAT", "2", "MSG_STAT", "11"), READ)},
    "semctl": {
        **dict.fromkeys(("IPC_STAT", "2", "SEM_STAT", "18"), READ),
        **dict.fromkeys(("GETPID", "11", "GETVAL", "12", "GETALL", "13", "GETNCNT", "14", "GETZCNT", "15"), READ),
        **dict.fromkeys(("SETVAL", "16", "SETALL", "17"), WRITE),
    },
}
"""What commands want of an object's mode, by their names and numbers (linux/ipc.h, shm.h, msg.h, sem.h)."""

_CONTROLLING = {"IPC_RMID", "0", "IPC_SET", "1"}  # only the owner may (ipcctl_obtain_check() of Linux ipc/util.c)
_READ_ONLY = 0o10000  # SHM_RDONLY of linux/shm.h
_LOCKING = {"SHM_LOCK", "11", "SHM_UNLOCK", "12"}


@handles(*_SHARING)
def _get(sighting: Sighting) -> None:
    kind, key = _SHARING[sighting.call.name], sighting.argument(0)
    wish = sighting.argument(1 if kind == "msg" else 2)
    given = arguments.flags(wish)
    if kind == "shm" and "SHM_HUGETLB" in given:
        sighting.needs("CAP_IPC_LOCK", "shmget(SHM_HUGETLB)")
    name = "private" if key == 0 or arguments.word(key) == "IPC_PRIVATE" else _key(arguments.number(key))
    known = (kind, name)
    created = name == "private" or {"IPC_CREAT", "IPC_EXCL"} <= given
    if sighting.succeeded and created:
        sighting.ledger.created_ipc.add(known)
    # IPC_CREAT alone opens what exists or makes it, and nobody can tell which: taken as shared.
    shared = known not in sighting.ledger.created_ipc
    sighting.emit(IpcUsed(kind, name, shared))
    number = sighting.call.result
    if sighting.succeeded and number is not None:
        sighting.ledger.ipc_objects[kind, number] = (name, shared)
        _owned(sighting, kind, number, _bits(wish) & 0o777, created)


def _key(number: int) -> str:
    return f"0x{number & 0xFFFFFFFF:x}"


def _owned(sighting: Sighting, kind: str, number: int, mode: int, created: bool) -> None:
    # The kernel checks the mode of an object that exists, and nothing of one that it makes.
    if not sighting.infers:
        return
    owners, user = sighting.ledger.ipc_owners, sighting.process.credentials.user.effective
    group = sighting.process.credentials.group.effective
    newborn = IpcOwner(user, user, group, group, mode)
    if created:
        owners[kind, number] = newborn
        return
    flag = 2 if kind != "msg" else 1
    if "IPC_CREAT" in arguments.flags(sighting.argument(flag)) and _owner(sighting, kind, number) is None:
        owners[kind, number] = newborn  # gone already, most likely by who made it
        sighting.ledger.notes.add("unknown owner", sighting.evidence())
    _demand(sighting, kind, number, (mode >> 6 | mode >> 3 | mode) & 7)


def _bits(value: Value) -> int:
    # The numbers among flags: octal for strace, hexadecimal for ptrace.
    if isinstance(value, int):
        return value
    numbers = [part for part in arguments.flags(value) if part[:1] == "0"]
    return sum(int(part, 16 if part.startswith("0x") else 8) for part in numbers)


@handles(*(name for name in _USING if name != "shmat"))
def _use(sighting: Sighting) -> None:
    name = sighting.call.name
    command = _command(sighting)
    ipc_used(sighting, _USING[name], _COMMANDS[name].get(command, 0) if name in _COMMANDS else _WANTED[name])
    if name in _COMMANDS and command in _CONTROLLING:
        _control(sighting, _USING[name], "CAP_SYS_ADMIN")
    elif name == "shmctl" and command in _LOCKING:
        _control(sighting, "shm", "CAP_IPC_LOCK")


def _command(sighting: Sighting) -> str:
    given = arguments.word(sighting.argument(2 if sighting.call.name == "semctl" else 1))
    return next((part for part in given.split("|") if part != "IPC_64"), "")


def attached(sighting: Sighting) -> None:
    """Record shmat(): the segment, and what of its mode was wanted."""
    given = arguments.flags(sighting.argument(2))
    wanted = READ if "SHM_RDONLY" in given or _bits(sighting.argument(2)) & _READ_ONLY else READ | WRITE
    ipc_used(sighting, "shm", wanted | (EXECUTE if "SHM_EXEC" in given else 0))


def ipc_used(sighting: Sighting, kind: str, wanted: int) -> None:
    """Record the use of a System V IPC object by its number, which whoever got it first may have passed on."""
    number = arguments.number(sighting.argument(0))
    name, shared = sighting.ledger.ipc_objects.get((kind, number), ("unknown", True))
    sighting.emit(IpcUsed(kind, name, shared))
    _demand(sighting, kind, number, wanted)


def _owner(sighting: Sighting, kind: str, number: int) -> IpcOwner | None:
    ledger = sighting.ledger
    if (kind, number) not in ledger.ipc_owners:
        viewers = ledger.paths.viewers(sighting.process)
        ledger.ipc_owners[kind, number] = ledger.objects.ipc_owner(kind, number, viewers)
    return ledger.ipc_owners[kind, number]


def _demand(sighting: Sighting, kind: str, number: int, wanted: int) -> None:
    # CAP_IPC_OWNER, if the mode alone refuses this to the caller.
    if not wanted or not sighting.infers or not (sighting.succeeded or sighting.refused_root):
        return
    owner = _owner(sighting, kind, number)
    if owner is None:
        sighting.needs("CAP_IPC_OWNER", f"{sighting.call.name} (unknown owner)")
        sighting.ledger.notes.add("unknown owner", sighting.evidence())
    elif not owner.allows(sighting.process.credentials, wanted):
        words = f"object of user {owner.user} group {owner.group} mode {owner.mode:04o}"
        sighting.needs("CAP_IPC_OWNER", f"{sighting.call.name}: {words}")


def _control(sighting: Sighting, kind: str, capability: str) -> None:
    if not sighting.infers or not (sighting.succeeded or sighting.refused_root):
        return
    number = arguments.number(sighting.argument(0))
    owner = _owner(sighting, kind, number)
    if owner is None:
        sighting.needs(capability, f"{sighting.call.name} (unknown owner)")
        sighting.ledger.notes.add("unknown owner", sighting.evidence())
    elif not owner.is_owner(sighting.process.credentials):
        sighting.needs(capability, f"{sighting.call.name} of user {owner.user}'s object")
    if sighting.succeeded:  # gone, or another's now: the number may come again
        sighting.ledger.ipc_owners.pop((kind, number), None)


@handles("mq_open")
def _message_queue(sighting: Sighting) -> None:
    name = sighting.argument(0)
    if not isinstance(name, bytes):
        return
    known = ("mqueue", name.decode("utf-8", "surrogateescape"))
    if sighting.succeeded and {"O_CREAT", "O_EXCL"} <= arguments.flags(sighting.argument(1)):
        sighting.ledger.created_ipc.add(known)
    sighting.emit(IpcUsed(known[0], known[1], known not in sighting.ledger.created_ipc))
