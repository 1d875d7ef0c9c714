"""`dcron completion`: what a shell reads to complete commands, options and names."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion of SHELL; names of jobs and workers complete, too.

    \b
    bash: dcron completion bash > ~/.local/share/bash-completion/completions/dcron
    zsh:  dcron completion zsh > "${fpath[1]}/_dcron"
    fish: dcron completion fish > ~/.config/fish/completions/dcron.fish
    """
    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"{shell} is not known to this click")
    click.echo(found(context.find_root().command, {}, "dcron", "_DCRON_COMPLETE").source())
