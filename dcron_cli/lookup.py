"""Jobs and runs by what people call them: a job by id or name, a run by id or as the newest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dcron_cli.client import LONGEST, Client, path
from dcron_cli.errors import CliError, NotFound, Refused


def find_job(client: Client, called: str) -> dict[str, Any]:
    """The job of this id, else of this name. NotFound."""
    if called.isascii() and called.isdigit() and len(called) <= 18 and called[0] != "0":
        try:
            return dict(client.get(path("jobs", called)))
        except NotFound:
            pass  # it may be a name
    found = _named(client, called)
    if found is None:
        raise NotFound(
            f"there is no job {called[:LONGEST]!a}, neither by id nor by name; see: dcron job list"
        )
    return found


def _named(client: Client, name: str) -> dict[str, Any] | None:
    """The job that is called just so; None for what no job can be called, too."""
    if not name or len(name) > LONGEST:
        return None
    try:
        found = client.get("/jobs", {"name": name, "removed": "false"})
    except Refused as error:
        if "name" not in dict(error.fields):
            raise
        return None
    return next((dict(one) for one in found if one["name"] == name), None)


def etag(job: Mapping[str, Any]) -> dict[str, str]:
    """The header that has a change made only to the job as it was read."""
    return {"If-Match": f'"{job["revision"]}"'}


def title(job: dict[str, Any]) -> str:
    """How messages call a job."""
    return f"job {job['id']}" if job["name"] is None else f"job {job['id']} ({job['name']})"


def find_run(client: Client, job: dict[str, Any], called: str | None) -> dict[str, Any]:
    """The run of this id; None: the job's newest. NotFound."""
    if called is not None:
        return dict(client.get(path("jobs", job["id"], "runs", called)))
    found = client.get(path("jobs", job["id"], "runs"), {"limit": 1})
    if not found:
        raise NotFound(f"{title(job)} has not run yet; run it now: dcron job run {job['id']}")
    return dict(found[0])


def running(client: Client, job: dict[str, Any]) -> dict[str, Any]:
    """The one run of the job that goes on. NotFound, or CliError where there are several."""
    params = {"state": "running", "limit": 100}
    found = client.get(path("jobs", job["id"], "runs"), params)
    if not found:
        raise NotFound(f"no run of {title(job)} goes on; see: dcron run list {job['id']}")
    if len(found) > 1:
        names = ", ".join(f"{one['id']} on {one['worker']}" for one in found)
        raise CliError(f"several runs of {title(job)} go on, name one of them: {names}")
    return dict(found[0])
