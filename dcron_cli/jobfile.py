"""Jobs as code: a YAML file with the jobs that shall be, each with a name.

    jobs:
      - name: backup
        schedule: "0 3 * * *"
        type: script
        file: backup.sh          # beside this file; or `executable:` as the API has it
        retries: 2

A field that is left out has its default. Failures are Misused and name file, job and key.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dcron_cli.errors import Misused
from dcron_cli.jobfields import WRITABLE, encoded, read_file
from dcron_cli.terminal import visible
from dcron_cli.yamltext import Lined, load_text

# What the API fills in where a job says nothing. A default that the cluster decides (time zone,
# OS user, owner) is not here: such fields are always written.
DEFAULTS: dict[str, Any] = {
    "filename": None,
    "arguments": [],
    "labels": {},
    "team": None,
    "environment": {},
    "working_directory": None,
    "secrets": [],
    "concurrency": "forbid",
    "timeout_seconds": 3600,
    "retries": 0,
    "retry_delay_seconds": 60,
    "starting_deadline_seconds": 600,
    "catch_up": "latest",
    "on_worker_loss": "rerun",
    "on_isolation": "skip",
    "placement": {"labels": {}, "on": "one"},
    "limits": {},
    "paused": False,
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A job as the file has it. `file`: its content, where the file names one; `lines`: where its
    keys stand, `line` where it begins."""

    name: str
    fields: Mapping[str, Any]
    file: bytes | None = None
    line: int = 1
    lines: Mapping[str, int] = field(default_factory=dict)

    def where(self, key: str) -> str:
        """Such as `line 7: backup: schedule`, of a key as the API names it."""
        top = re.split(r"[.\[]", key, maxsplit=1)[0]
        if top in ("executable", "filename") and top not in self.lines:
            top = "file"
        said = f": {key}" if key else ""
        return f"line {self.lines.get(top, self.line)}: {self.name}{said}"

    def body(self, present: Mapping[str, Any] | None) -> dict[str, Any]:
        """The body that makes it so. A file that the job `present` has already is not sent again:
        its address stands for it. A job that somebody has paused stays paused, unless the file
        says something of that."""
        fields = {**self.fields}
        if present is not None:
            fields.setdefault("paused", present["paused"])
        if self.file is None:
            return fields
        ours = (self.fields["type"], hashlib.sha256(self.file).hexdigest())
        if present is not None and (present["type"], present["sha256"]) == ours:
            return {**fields, "executable": present["executable"]}
        return {**fields, "executable": encoded(self.file)}


def read_jobs(path: Path) -> list[Wanted]:
    """The jobs of a file, in its order."""
    try:
        text = read_file(path).decode()
    except UnicodeDecodeError as error:
        raise Misused(f"{path}: is no UTF-8") from error
    value = load_text(text, str(path))
    if not isinstance(value, dict) or set(value) != {"jobs"} or not isinstance(value["jobs"], list):
        raise Misused(f"{path}: must hold one key, jobs:, with a list of jobs below it")
    found = [_wanted(path, number, one) for number, one in enumerate(value["jobs"], 1)]
    names = [one.name for one in found]
    for name in names:
        if names.count(name) > 1:
            raise Misused(f"{path}: the name {visible(name)} stands there twice; names are unique")
    return found


def _wanted(path: Path, number: int, value: Any) -> Wanted:
    if not isinstance(value, Lined):
        raise Misused(f"{path}: jobs[{number}]: must be fields such as name: and schedule:")
    name = value.get("name")
    if not isinstance(name, str) or not name:
        at = f"{path}: line {value.line}: jobs[{number}]"
        raise Misused(f"{at}: needs a name: by it the job is found again")
    fields = {key: one for key, one in value.items() if key != "file"}
    found = Wanted(name, fields, None, value.line, value.lines)
    for key in fields:
        if key not in WRITABLE:
            raise _wrong(path, found, key, "is no field of a job's file; take it out")
    return found if "file" not in value else _with_file(path, found, value["file"])


def _with_file(path: Path, job: Wanted, file: Any) -> Wanted:
    """The job with the content of its file."""
    if not isinstance(file, str) or "executable" in job.fields:
        raise _wrong(path, job, "file", "give a path, and no executable: beside it")
    if job.fields.get("type") not in ("script", "binary"):
        raise _wrong(path, job, "type", "must be script or binary where file: is given")
    content = path.parent / file
    if not content.resolve().is_relative_to(path.parent.resolve()):
        raise _wrong(path, job, "file", "must lie beside the file that names it, or below")
    fields = {"filename": content.name, **job.fields}
    return replace(job, fields=fields, file=read_file(content))


def _wrong(path: Path, job: Wanted, key: str, why: str) -> Misused:
    return Misused(f"{path}: {job.where(key)}: {why}")


def as_written(job: Mapping[str, Any]) -> dict[str, Any]:
    """A job of the API as the file has it: what differs from the defaults."""
    return {
        name: job[name] for name in WRITABLE if name not in DEFAULTS or job[name] != DEFAULTS[name]
    }
