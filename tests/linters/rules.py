"""The house rules that no ready-made linter knows. Each takes a module and returns complaints."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.linters.sources import Source

LONGEST_MODULE = 400
LONGEST_FUNCTION = 50


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


POLICY_MAY_IMPORT = _words(
    """
    __future__ abc base64 bisect collections contextlib copy dataclasses enum errno fnmatch functools graphlib hashlib
    heapq importlib.resources ipaddress itertools json math operator os policy posixpath re shlex stat string struct
    textwrap types typing unicodedata
    """
)
"""The parts of the standard library that compute. A module that reads a clock, a file or the network is not here."""

PURE_OF_OS = _words("fsdecode fsencode path PathLike")
PURE_OF_PATHS = _words("basename commonpath commonprefix dirname isabs join normpath split splitext")
TOUCHING_BUILTINS = _words("open print input exec eval breakpoint __import__")

STARTS_NO_PROCESS = _words(
    "PIPE DEVNULL STDOUT Popen TimeoutExpired CompletedProcess CalledProcessError SubprocessError"
)
"""What a module other than ``profiler/run.py`` may use of subprocess: constants, errors, and Popen as a type."""

STARTING = re.compile(r"^os\.(fork|forkpty|system|popen|posix_spawnp?|exec[lv]p?e?|spawn[lv]p?e?)$|^pty\.(fork|spawn)$")

MAY_PRINT = ("profiler/commands/", "profiler/cli.py", "profiler/progress.py", "profiler/standard_streams.py")
PRINTING = _words("print click.echo click.secho sys.stdout.write sys.stderr.write")

SERVICES = _words(
    """
    apache apache2 bind9 caddy chrony cron cups dnsmasq docker dovecot exim haproxy httpd lighttpd mariadb memcached
    mosquitto mysql nginx openssh postfix postgres postgresql proftpd rabbitmq redis rsyslog samba sshd squid tomcat
    varnish vsftpd
    """
)


def dotted(node: ast.AST) -> str:
    """Return ``a.b.c`` for an attribute chain or a name, else an empty text."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        inner = dotted(node.value)
        return f"{inner}.{node.attr}" if inner else ""
    return ""


def imported(source: Source) -> Iterator[tuple[ast.AST, str]]:
    """Yield every imported module, by its full name, and for ``from a import b`` also ``a.b``."""
    for node in source.walk():
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node, node.module or ""
            yield from ((node, f"{node.module}.{alias.name}") for alias in node.names)


def policy_imports_only_what_computes(source: Source) -> list[str]:
    """Policy: standard library, and of that only what reads nothing but its arguments."""
    complaints = []
    for node in source.walk():
        if isinstance(node, ast.Import):
            foreign = [alias.name for alias in node.names if not _computes(alias.name)]
        elif isinstance(node, ast.ImportFrom) and not _computes(node.module or ""):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            foreign = [name for name in names if not _computes(name)]
        else:
            continue
        complaints += [source.complaint(node, f"policy imports {name}") for name in foreign]
    return complaints


def _computes(module: str) -> bool:
    return any(module == allowed or module.startswith(f"{allowed}.") for allowed in POLICY_MAY_IMPORT)


def policy_touches_nothing(source: Source) -> list[str]:
    """Policy: no open(), no print(), and of os only the functions on names."""
    complaints = []
    for node in source.walk():
        name = dotted(node)
        if isinstance(node, ast.Name) and node.id in TOUCHING_BUILTINS:
            complaints.append(source.complaint(node, f"policy calls {node.id}()"))
        elif re.match(r"os\.\w+$", name) and name[3:] not in PURE_OF_OS:
            complaints.append(source.complaint(node, f"policy uses {name}"))
        elif re.match(r"(os\.path|posixpath)\.\w+$", name) and name.split(".")[-1] not in PURE_OF_PATHS:
            complaints.append(source.complaint(node, f"policy asks the machine: {name}"))
    for node, name in imported(source):
        if isinstance(node, ast.ImportFrom) and re.match(r"os\.\w+$", name) and name[3:] not in PURE_OF_OS:
            complaints.append(source.complaint(node, f"policy uses {name}"))
    return complaints


def only_run_starts_processes(source: Source) -> list[str]:
    """Profiler: processes are started in ``profiler/run.py``, with its environment, time limit and errors."""
    if source.path in {"profiler/run.py", "profiler/recorders/ptrace_child.py"}:
        return []  # the latter is a program of its own, and a tracer must be the parent of the command that it traces
    complaints = [
        source.complaint(node, f"starts a process: {dotted(node.func)}")
        for node in source.walk()
        if isinstance(node, ast.Call)
        and (dotted(node.func) in {"subprocess.Popen", "Popen"} or STARTING.match(dotted(node.func)))
    ]
    for node in source.walk():
        name = dotted(node)
        if re.match(r"subprocess\.\w+$", name) and name.split(".")[1] not in STARTS_NO_PROCESS:
            complaints.append(source.complaint(node, f"uses {name}"))
    for node, name in imported(source):
        if (
            isinstance(node, ast.ImportFrom)
            and re.match(r"subprocess\.\w+$", name)
            and name.split(".")[1] not in STARTS_NO_PROCESS
        ):
            complaints.append(source.complaint(node, f"uses {name}"))
    return complaints


def nothing_runs_through_a_shell(source: Source) -> list[str]:
    """Everywhere: no ``shell=`` argument other than a literal False."""
    return [
        source.complaint(keyword.value, "runs a command through a shell")
        for node in source.walk()
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "shell" and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is False)
    ]


def only_commands_print(source: Source) -> list[str]:
    """Profiler: only the verbs write to the terminal, and the few modules that own its streams."""
    if source.path.startswith(MAY_PRINT):
        return []
    return [
        source.complaint(node, f"prints: {dotted(node.func)}")
        for node in source.walk()
        if isinstance(node, ast.Call) and dotted(node.func) in PRINTING
    ]


def modules_are_short(source: Source) -> list[str]:
    """A module that grows over the limit has a second noun in it."""
    lines = source.text.count("\n")
    return [f"{source.path}:1: {lines} lines, at most {LONGEST_MODULE}"] if lines > LONGEST_MODULE else []


def functions_are_short(source: Source) -> list[str]:
    """A function that grows over the limit does a second thing."""
    return [
        source.complaint(node, f"{node.name} has {_length(node)} lines, at most {LONGEST_FUNCTION}")
        for node in source.walk()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _length(node) > LONGEST_FUNCTION
    ]


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def public_names_are_documented(source: Source) -> list[str]:
    """Every module, and every public class, function and method, has a docstring."""
    complaints = [] if ast.get_docstring(source.tree) else [f"{source.path}:1: the module has no docstring"]
    return complaints + [
        source.complaint(node, f"{node.name} has no docstring")
        for node in _public(source.tree.body)
        if not ast.get_docstring(node)
    ]


def _public(body: list[ast.stmt]) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from _public(node.body)


def no_service_is_special(source: Source) -> list[str]:
    """No service is known by its name: not in a string, not in an identifier (documentation may have examples)."""
    documentation = _documentation(source.tree)
    complaints = []
    for node in source.walk():
        words = ""
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes) and id(node) not in documentation:
            words = node.value if isinstance(node.value, str) else node.value.decode("latin-1")
        elif isinstance(node, ast.Name):
            words = node.id
        elif isinstance(node, ast.Attribute):
            words = node.attr
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.arg):
            words = node.name if not isinstance(node, ast.arg) else node.arg
        known = SERVICES & set(re.split(r"[^a-z0-9]+", words.lower()))
        complaints += [source.complaint(node, f"knows the service {name}") for name in sorted(known)]
    return complaints


def _documentation(tree: ast.Module) -> set[int]:
    """Return the identities of all strings that stand alone as a statement: docstrings, also those of constants."""
    return {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }


def recorders_do_not_know_each_other(source: Source) -> list[str]:
    """A recorder is ``recorders/TOOL*.py``; it may import ``base`` and its own files, no other tool's."""
    match = re.match(r"profiler/recorders/([a-z0-9]+)", source.path)
    if not match:
        return []
    tool = match[1]
    others = []
    for node, name in imported(source):
        found = re.match(r"profiler\.recorders\.([a-z0-9]+)", name)
        if found and found[1] not in {tool, "base"} and tool != "base":
            others.append(source.complaint(node, f"the recorder {tool} imports {name}"))
        if found and tool == "base":
            others.append(source.complaint(node, f"the base of all recorders imports {name}"))
    return others
