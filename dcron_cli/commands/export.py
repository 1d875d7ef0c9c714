"""`dcron export`: jobs as the YAML that `dcron apply` takes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dcron_cli.errors import Misused
from dcron_cli.files import replace_file
from dcron_cli.output import note, say, show_json
from dcron_cli.params import label_option
from dcron_cli.progress import counted
from dcron_cli.session import Session, json_option, pass_session, profile_option

if TYPE_CHECKING:
    from dcron_cli.client import Client


@click.command()
@label_option
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write it there; the files of scripts and binaries into a folder beside it.",
)
@json_option
@profile_option
@pass_session
def export(session: Session, /, labels: tuple[tuple[str, str], ...], output: Path | None) -> None:
    """Write jobs as YAML; applied as it is, it changes nothing.

    On stdout the address stands for the file of a script or binary, which this cluster takes back;
    --output writes the files, too, for another cluster or for a repository.
    """
    from dcron_cli.jobfile import as_written
    from dcron_cli.yamltext import dump_text

    params = {"removed": "false", "label": [f"{name}={value}" for name, value in labels]}
    found = session.client.listed("/jobs", params, None).items
    if session.as_json:
        show_json(found)
        return
    named = [job for job in found if job["name"] is not None]
    written = [as_written(job) for job in named]
    if output is None:
        click.echo(dump_text({"jobs": written}), nl=False)
    else:
        _write_files(session.client, named, written, output)
        _write(output, dump_text({"jobs": written}).encode())
        say(f"{len(named)} jobs are in {output}")
    if len(named) < len(found):
        ids = ", ".join(job["id"] for job in found if job["name"] is None)
        note(f"(without a name, and left out: {ids}; name them: dcron job edit ID --name NAME)")


def _write_files(
    client: Client, jobs: list[dict[str, Any]], written: list[dict[str, Any]], output: Path
) -> None:
    """Put the files beside `output`, and their paths in place of their addresses."""
    from dcron_cli.client import path

    folder = output.with_suffix(".files")
    with_file = [(job, fields) for job, fields in zip(jobs, written, strict=True) if job["sha256"]]
    with counted("fetching", with_file) as each:
        for job, fields in each:
            _, pieces = client.stream(path("jobs", job["id"], "executable"))
            target = folder / safe_name(f"{job['id']}-{job['filename'] or job['type']}")
            try:
                folder.mkdir(exist_ok=True)
            except OSError as error:
                raise Misused(f"{folder}: cannot be made: {error.strerror}") from error
            _write(target, b"".join(pieces))
            del fields["executable"]
            fields["file"] = str(target.relative_to(output.parent))
            # Else it would be called after the file that is written here.
            fields["filename"] = job["filename"]


def safe_name(name: str) -> str:
    """A bare file name that means nothing to a shell, whatever the cluster says."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)[:200]


def _write(target: Path, data: bytes) -> None:
    try:
        replace_file(target, data)  # 0600: it holds what jobs have in their environment
    except OSError as error:
        raise Misused(f"{target}: cannot be written: {error.strerror}") from error
