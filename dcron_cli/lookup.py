"""Jobs and runs by what people call them: a job by id or name, a run by id or as the newest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dcron_cli.client import LONGEST, Client, path
from dcron_cli.errors import CliError, NotFound, Refused
from dcron_cli.output import instant

# States of what has begun; of the others, none ever has an output.
_BEGUN = ("running", "succeeded", "failed", "timed_out", "killed", "lost")
_LOOKED_AT = 20  # runs
_UNKNOWN = "is unknown"  # says the API of a key of a query that it does not have


@dataclass(frozen=True, slots=True)
class Written:
    """A run that has an output. `instead`: what became of the newer minute that has none."""

    run: dict[str, Any]
    instead: str | None = None


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
    for key in ("name", "q"):  # an earlier release looks for parts of names only
        try:
            found = client.get("/jobs", {key: name, "removed": "false"})
        except Refused as error:
            why = dict(error.fields).get(key)
            if why is None:
                raise
            if not why.startswith(_UNKNOWN):
                return None
        else:
            return next((dict(one) for one in found if one["name"] == name), None)
    raise CliError("the cluster's dcron is older and finds no job by its name; give its id")


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


def written_run(client: Client, job: dict[str, Any], called: str | None) -> Written:
    """The run of this id, None: the newest that has begun, since only such a run has an output.
    NotFound says which minute was passed over, why, and where to look instead."""
    newest = find_run(client, job, called)
    if _has_begun(newest):
        return Written(newest)
    params = {"state": list(_BEGUN), "limit": _LOOKED_AT}
    begun = client.get(path("jobs", job["id"], "runs"), params)
    earlier = next((dict(one) for one in begun if _has_begun(one)), None)
    why = _passed_over(newest)
    if called is None and earlier is not None:
        return Written(earlier, why)
    if earlier is None:
        raise NotFound(
            f"{why}, and no run of {title(job)} has an output; see: dcron run list {job['id']}"
        )
    raise NotFound(
        f"{why}: run {newest['id']} has no output; the newest that has one: "
        f"dcron run logs {job['id']} {earlier['id']}"
    )


def _has_begun(run: Mapping[str, Any]) -> bool:
    if run["state"] == "killed":
        return run["started_at"] is not None  # else its wait was ended
    return run["state"] in _BEGUN


def _passed_over(run: Mapping[str, Any]) -> str:
    """Such as `2027-01-15 08:00:00Z was missed: no worker was online`."""
    state = str(run["state"]).replace("_", " ")
    why = "" if run["reason"] is None else f": {run['reason']}"
    return f"{instant(run['scheduled_at'])} was {state}{why}"
