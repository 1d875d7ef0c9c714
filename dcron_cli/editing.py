"""A job in the user's editor, until it is saved or given up. Nothing that was written is lost.

Each text stays in a file of the user's own, from when the editor is left until the job is changed.
Where somebody else has changed the job meanwhile, what the user wants is laid over the job as it is
by then, and edited again.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from dcron_cli.client import Client, path
from dcron_cli.errors import CliError, Misused, Outdated
from dcron_cli.jobfields import WRITABLE
from dcron_cli.output import note
from dcron_cli.plan import shown
from dcron_cli.terminal import visible
from dcron_cli.yamltext import dump_text, load_text

Job = dict[str, Any]
Change = Callable[[Job, dict[str, Any]], Job]  # changes the job, as it was read, by these fields


class _Kept:
    """What the user wrote, in files that only the user reads (a job's environment is in them)."""

    def __init__(self, job_id: str) -> None:
        self._prefix = f"dcron-job-{job_id}-"
        self._folder: Path | None = None
        self.last: Path | None = None
        self._count = 0

    def keep(self, text: str) -> None:
        """Write one more. Where that cannot be, it may still become of the job."""
        try:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix=self._prefix))  # mode 0700
            self._count += 1
            file = self._folder / f"{self._count}.yml"
            file.write_text(text)
            self.last = file
        except OSError as error:
            note(f"(your text cannot be kept in a file: {error.strerror})")

    def forget(self) -> None:
        """All of it has become of the job."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self.last = None


def edited(client: Client, job: Job, change: Change) -> tuple[Job, Job]:
    """The job as it was before the change, and after it. What stands in the way is told, and may be
    edited again; CliError, of its kind, where the user gives up."""
    kept = _Kept(job["id"])
    try:
        found = _until_changed(client, job, change, kept)
    except BaseException:
        if kept.last is not None:
            note(f"(your text is kept in {kept.last})")
        raise
    kept.forget()
    return found


def _until_changed(client: Client, job: Job, change: Change, kept: _Kept) -> tuple[Job, Job]:
    text = _text(job, {}, f"# job {job['id']}: what you change is changed when you leave")
    while True:
        text = _in_editor(text, kept)
        kept.keep(text)
        wanted: dict[str, Any] = {}
        try:
            wanted = differing(job, load_text(text, f"job {job['id']}"))
            return job, change(job, wanted) if wanted else job
        except Outdated as error:
            by_now = dict(client.get(path("jobs", job["id"])))
            again = _tell_changes(error, job, by_now, wanted, kept)
            text, job = _text(by_now, wanted, *again), by_now
            question = f"edit it again, on top of revision {job['revision']}?"
            failure: CliError = error
        except CliError as error:
            error.show()
            question, failure = "edit it again?", error
        _confirm(question, failure)


def _in_editor(text: str, kept: _Kept) -> str:
    left = click.edit(text, extension=".yml", require_save=True)
    if left is not None:
        return left
    if kept.last is None:
        raise click.Abort  # nothing was written yet
    _confirm("it was left without saving; send what it showed?", CliError("not changed"))
    return text


def _confirm(question: str, failure: CliError) -> None:
    """Go on only if the user says so; the failure else."""
    try:
        click.confirm(question, abort=True, err=True)
    except click.Abort:
        raise failure.saying("not changed") from failure


def differing(job: Mapping[str, Any], text: Any) -> dict[str, Any]:
    """The fields that a text changes of the job it was made of; one that was taken out has its
    default again."""
    if not isinstance(text, dict):
        raise Misused("the text holds no fields; write such as schedule: '@daily'")
    changed = {name: value for name, value in text.items() if _before(job, name) != value}
    return changed | {name: None for name in WRITABLE if name not in text}


def _before(job: Mapping[str, Any], name: str) -> Any:
    return job[name] if name in WRITABLE else None


def _text(job: Mapping[str, Any], wanted: Mapping[str, Any], *comments: str) -> str:
    """The job with what is wanted laid over it, for an editor. A field that was taken out stays
    out."""
    fields = {name: job[name] for name in WRITABLE} | dict(wanted)
    gone = {name for name, value in wanted.items() if value is None}
    shown_fields = {name: value for name, value in fields.items() if name not in gone}
    return "".join(f"{line}\n" for line in comments) + dump_text(shown_fields)


def _tell_changes(
    error: CliError, old: Job, new: Job, wanted: Mapping[str, Any], kept: _Kept
) -> list[str]:
    """Say what somebody else has done, and where the text is; the same as comments."""
    error.saying(f"job {old['id']} is at revision {new['revision']} by now").show()
    lines = list(_changes(old, new, wanted))
    for line in lines:
        note(f"  {line}")
    if kept.last is not None:
        note(f"(your text is kept in {kept.last})")
    title = f"# job {new['id']} at revision {new['revision']}, and what you changed laid over it"
    return [title, *(f"#   {visible(line)}" for line in lines)]


def _changes(old: Job, new: Job, wanted: Mapping[str, Any]) -> Iterator[str]:
    """What differs, and where that is what the user wants to change, too."""
    for name in WRITABLE:
        if old[name] != new[name]:
            yours = f" (yours: {shown(wanted[name])})" if name in wanted else ""
            yield f"somebody else changed {name}: {shown(old[name])} -> {shown(new[name])}{yours}"
