"""Jobs as the API keeps them: enough of /jobs for `dcron apply` and `export`."""

from __future__ import annotations

import base64
import hashlib
from typing import Any
from urllib.parse import unquote

from tests.unit.cli.cluster import Asked, Reply, Script, Terminal, job, problem

_TAKEN = [{"in": "path", "name": "job_id"}, {"in": "query", "name": "dry_run"}]
DESCRIBED = {"paths": {"/jobs/{job_id}": {"delete": {"parameters": _TAKEN}}}}

FILE = """
jobs:
  - name: hello
    type: command
    executable: echo hello
    schedule: "* * * * *"
    labels: {app: web}
  - name: backup
    type: script
    file: backup.sh
    schedule: "@daily"
    retries: 2
    placement: {on: all}
"""


class KeptJobs(Script):
    """PUT /jobs?name=, POST, DELETE with If-Match, dry runs, and files by their digest."""

    def __init__(self, *jobs: dict[str, Any]) -> None:
        super().__init__({})
        self.jobs = {one["id"]: one for one in jobs}
        self.files: dict[str, bytes] = {}
        self.foreign: set[str] = set()  # ids of jobs that only others may change
        self.before: list[Any] = []  # what somebody else does before the next write
        self.planning: list[Any] = []  # and before the next removal is planned
        self.described: Any = DESCRIBED

    def _reply(self, asked: Asked) -> Reply:
        dry = asked.query.get("dry_run") == ["true"]
        if self.before and asked.method != "GET" and not dry:
            self.before.pop(0)(self.jobs)
        if self.planning and asked.method == "DELETE" and dry:
            self.planning.pop(0)(self.jobs)
        if asked.path == "/openapi.json":
            return Reply(self.described)
        if asked.path == "/jobs":
            return getattr(self, f"_{asked.method.lower()}")(asked, dry)
        number = unquote(asked.path).split("/")[2]
        if asked.path.endswith("/executable"):
            return Reply(self.files[self.jobs[number]["sha256"]])
        if asked.method == "DELETE":
            return self._remove(asked, number, dry)
        return Reply(self.jobs[number]) if number in self.jobs else problem(404, "no job")

    def _get(self, asked: Asked, _dry: bool) -> Reply:
        labels = dict(one.split("=") for one in asked.query.get("label", []))
        return Reply([one for one in self.jobs.values() if labels.items() <= one["labels"].items()])

    def _named(self, name: str) -> dict[str, Any] | None:
        return next((one for one in self.jobs.values() if one["name"] == name), None)

    def _post(self, asked: Asked, dry: bool) -> Reply:
        if self._named(asked.body["name"]):
            return problem(409, "the name is taken")
        return self._write(None, asked, dry)

    def _put(self, asked: Asked, dry: bool) -> Reply:
        found = self._named(asked.query["name"][0])
        if found is not None and found["id"] in self.foreign:
            return self._not_yours(found["id"])
        if found is None and "If-Match" in asked.headers:
            return problem(412, "there is no job of this name")
        made = self._made(found, asked.body)
        if found is not None and made == found:
            return Reply(found)
        if found is not None and asked.headers.get("If-Match", f'"{found["revision"]}"') != (
            f'"{found["revision"]}"'
        ):
            return problem(412, "the job is at another revision by now")
        return self._write(found, asked, dry)

    def _write(self, found: dict[str, Any] | None, asked: Asked, dry: bool) -> Reply:
        if asked.body["schedule"] == "bad":
            return problem(422, "refused: schedule", ("schedule", "has 1 of the five fields"))
        made = self._made(found, asked.body)
        if not dry:
            made["revision"] += 1
            made["id"] = made["id"] or str(len(self.jobs) + 100)
            self.jobs[made["id"]] = made
        return Reply(made, 200 if found or dry else 201)

    def _made(self, found: dict[str, Any] | None, body: dict[str, Any]) -> dict[str, Any]:
        """A body laid over the defaults; a file is known by its digest."""
        fixed = job(0) if found is None else found
        kept = {name: fixed[name] for name in ("revision", "worker", "owner", "created_at")}
        made = {**job(0), **kept, "id": None if found is None else found["id"], **body}
        if body["type"] == "command":
            return made
        if found is not None and body["executable"] == found["executable"]:
            return {**made, "sha256": found["sha256"]}
        data = base64.b64decode(body["executable"], validate=True)
        digest = hashlib.sha256(data).hexdigest()
        self.files[digest] = data
        return {**made, "executable": f"s3://dcron/{digest}-new", "sha256": digest}

    def _remove(self, asked: Asked, number: str, dry: bool) -> Reply:
        found = self.jobs.get(number)
        if found is None:
            return problem(404, "no job")
        if number in self.foreign:
            return self._not_yours(number)
        if asked.headers["If-Match"] != f'"{found["revision"]}"':
            return problem(412, "the job is at another revision by now")
        return Reply(found if dry else self.jobs.pop(number))

    @staticmethod
    def _not_yours(number: str) -> Reply:
        return problem(403, f"job {number} belongs to bob")

    def writes(self) -> list[tuple[str, str]]:
        """What was asked to be changed."""
        return [
            (one.method, one.body["name"] if one.body else one.path)
            for one in self.asked
            if one.method != "GET" and "dry_run" not in one.query
        ]


def apply(dcron: Terminal, *options: str) -> tuple[str, ...]:
    return ("apply", "-f", str(dcron.folder / "jobs.yml"), *options)
