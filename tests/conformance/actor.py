"""A program that does one thing after another and says what came of each. It runs inside of a unit's sandbox.

Its argument is a file with a JSON list of actions, ``[number, apart, verb, argument...]``. For each it writes a line
``[number, outcome, answer]``: ``ok``, the name of an errno or of the signal that ended it, and what it learned. It
does them in a child process, and in another one after a child was killed; ``apart`` ones change the process itself
and get a child of their own. Standard library only, for Python 3.11 and later.
"""

from __future__ import annotations

import errno
import hashlib
import json
import mmap
import os
import signal
import struct
import sys
import traceback
from typing import Any

from actor_verbs import SECONDS, VERBS  # type: ignore[import-not-found, unused-ignore]  # beside this file, in a twin

SHARED = mmap.mmap(-1, 4096)


def outcome(verb: str, arguments: list[Any]) -> tuple[str, str]:
    """Do one thing and return what came of it, and what it learned (a digest, ``empty``, or nothing)."""
    try:
        answer = VERBS[verb](*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error.errno)), ""
    if not isinstance(answer, str | bytes):
        return "ok", ""
    text = answer.encode() if isinstance(answer, str) else answer
    return "ok", hashlib.sha256(text).hexdigest()[:12] if text else "empty"


def say(number: int, said: tuple[str, str]) -> None:
    """Write one line."""
    os.write(1, json.dumps([number, *said]).encode() + b"\n")


def apart(number: int, verb: str, arguments: list[Any]) -> None:
    """Do one thing in a child of its own."""
    try:
        child = os.fork()
    except OSError:
        say(number, outcome(verb, arguments))
        return
    if child == 0:
        signal.alarm(SECONDS)
        try:
            say(number, outcome(verb, arguments))
        except BaseException:
            traceback.print_exc()
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        say(number, (signal.Signals(os.WTERMSIG(status)).name, ""))
    elif os.WEXITSTATUS(status) != 0 or verb == "exit":
        say(number, ("exited", ""))


def work(actions: list[list[Any]], start: int) -> None:
    """Do the actions from this one on, and note in shared memory at which one we are."""
    for index in range(start, len(actions)):
        SHARED[:4] = struct.pack("=I", index)
        number, is_apart, verb, *arguments = actions[index]
        if is_apart:
            apart(number, verb, arguments)
        else:
            say(number, outcome(verb, arguments))


def main() -> None:
    """Do all actions, in as many children as it takes."""
    with open(sys.argv[1], encoding="utf-8") as file:
        actions = json.load(file)
    start = 0
    while start < len(actions):
        try:
            child = os.fork()
        except OSError:
            work(actions, start)
            return
        if child == 0:
            try:
                work(actions, start)
            except BaseException:
                traceback.print_exc()
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        if not os.WIFSIGNALED(status):
            return
        index = struct.unpack("=I", SHARED[:4])[0]
        say(actions[index][0], (signal.Signals(os.WTERMSIG(status)).name, ""))
        start = index + 1


if __name__ == "__main__":
    main()
