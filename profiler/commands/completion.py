"""unit-tailor completion"""

from __future__ import annotations

import click

from profiler.shell_completion import SHELLS, script


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print the script that teaches a shell to complete commands, options, units, files, directives and capabilities.

    The Debian package has it installed already.

    \b
    Examples:
      source <(unit-tailor completion bash)
      unit-tailor completion zsh > ~/.zfunc/_unit-tailor
      unit-tailor completion fish > ~/.config/fish/completions/unit-tailor.fish
    """
    click.echo(script(shell), nl=False)
