"""``unit-tailor doctor``."""

from __future__ import annotations

import sys

import click

from profiler import host_check, host_probes
from profiler.commands._output import show
from profiler.errors import ExitCode
from profiler.host_check import Finding, Purpose
from profiler.options import JsonStyle, json_option, quiet_option
from profiler.terminal import Style, printable, styled


@click.command()
@json_option
@quiet_option
def command(json_style: JsonStyle) -> ExitCode:
    """Say what this machine can do and, for each thing that it cannot, why and what to type.

    The exit status is 0 if services can be studied here, on this host or in a twin of it, and 1 if not.

    \b
    Examples:
      unit-tailor doctor
      unit-tailor doctor --json=short
    """
    findings = list(host_probes.survey())
    show(json_style, host_check.document(findings), _lines(findings))
    return ExitCode.DONE if host_check.judge(findings).possible else ExitCode.FAILED


def _lines(findings: list[Finding]) -> list[str]:
    width = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{_state(finding)}  {finding.name:<{width}}  {printable(finding.reason)}")
        if finding.remedy:
            lines.append(f"{'':{11 + width}}{printable(finding.remedy)}")
    return [*lines, "", host_check.judge(findings).words]


def _state(finding: Finding) -> str:
    if finding.ok:
        return styled("ok     ", Style.GREEN, sys.stdout)
    serious = finding.purpose in {Purpose.EVERYTHING, Purpose.TWIN}
    return styled("missing", Style.RED if serious else Style.YELLOW, sys.stdout)
