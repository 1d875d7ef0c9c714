"""`dcron apply --prune`: what no file names any more is removed, as the cluster plans it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.cli.cluster import Terminal
from tests.unit.cli.kept_jobs import KeptJobs, apply


def test_only_named_jobs_that_carry_the_label_are_pruned(dcron: Terminal, kept: KeptJobs) -> None:
    told = dcron(*apply(dcron, "--prune", "--label", "app=web", "--yes"))
    assert told.exit_code == 0, told.output
    assert "- remove    old" in told.stdout
    assert {one["name"] for one in kept.jobs.values()} == {"hello", "foreign", "backup", None}
    assert "without --label" not in told.stderr


def test_a_removal_is_planned_by_the_cluster_at_the_revision_that_was_read(
    dcron: Terminal, kept: KeptJobs
) -> None:
    dcron(*apply(dcron, "--prune", "--label", "app=web", "--dry-run"))
    assert kept.writes() == []
    (tried,) = kept.sent("DELETE", "/jobs/2")
    assert tried.query == {"dry_run": ["true"]}
    assert tried.headers["If-Match"] == '"3"'


def changing(**fields: object) -> Callable[[dict[str, dict[str, Any]]], None]:
    """What somebody else does to job 2, which shall go."""

    def change(jobs: dict[str, dict[str, Any]]) -> None:
        jobs["2"] = {**jobs["2"], **fields, "revision": jobs["2"]["revision"] + 1}

    return change


def test_a_job_that_changes_while_its_removal_is_planned_is_planned_as_it_is_by_then(
    dcron: Terminal, kept: KeptJobs
) -> None:
    kept.planning.append(changing(retries=7))
    told = dcron(*apply(dcron, "--prune", "--label", "app=web", "--yes"))
    assert told.exit_code == 0, told.output
    assert "- remove    old" in told.stdout and told.stdout.endswith("done: 3\n")
    assert "2" not in kept.jobs
    assert [one.headers["If-Match"] for one in kept.sent("DELETE", "/jobs/2")] == [
        *('"3"', '"4"', '"4"')
    ]


@pytest.mark.parametrize(
    "meanwhile",
    [
        changing(labels={"app": "mail"}),
        changing(name="backup"),
        changing(name=None),
        lambda jobs: jobs.pop("2"),
    ],
    ids=["other labels", "a name of the file", "no name", "removed"],
)
def test_a_job_that_is_not_meant_any_more_is_not_removed(
    dcron: Terminal, kept: KeptJobs, meanwhile: Any
) -> None:
    kept.planning.append(meanwhile)
    told = dcron(*apply(dcron, "--prune", "--label", "app=web", "--dry-run"))
    assert told.exit_code == 0, told.output
    assert "1 to create, 1 to change, 0 to remove, 0 unchanged" in told.stdout


def test_a_job_that_changes_all_the_time_does_not_hold_up_the_others(
    dcron: Terminal, kept: KeptJobs
) -> None:
    kept.planning += [changing()] * 9
    kept.before += [lambda jobs: None, lambda jobs: None, changing()]
    told = dcron(*apply(dcron, "--prune", "--label", "app=web", "--yes"))
    assert told.exit_code == 1
    assert "dcron: 2 of 3 were done" in told.stderr
    assert "  old: the job is at another revision" in told.stderr
    assert {one["name"] for one in kept.jobs.values()} == {
        *("hello", "backup", "old", "foreign", None)
    }


def without_dry_run() -> dict[str, Any]:
    parameters = [{"in": "path", "name": "job_id"}, {"in": "header", "name": "dry_run"}]
    return {"paths": {"/jobs/{job_id}": {"delete": {"parameters": parameters}}}}


@pytest.mark.parametrize("older", [without_dry_run(), {"paths": {}}, {}, []])
@pytest.mark.parametrize("options", [["--yes"], ["--dry-run"]])
def test_a_cluster_that_cannot_try_a_removal_is_not_asked_to_remove_anything(
    dcron: Terminal, kept: KeptJobs, older: Any, options: list[str]
) -> None:
    kept.described = older
    told = dcron(*apply(dcron, "--prune", "--label", "app=web", *options))
    assert told.exit_code == 1
    assert "upgrade the cluster first, or apply without --prune" in told.stderr
    assert not [one for one in kept.asked if one.method != "GET"]


def test_what_the_cluster_can_do_is_asked_once_and_only_where_something_may_go(
    dcron: Terminal, kept: KeptJobs
) -> None:
    dcron(*apply(dcron, "--dry-run"))
    dcron(*apply(dcron, "--prune", "--label", "app=nothing", "--dry-run"))
    assert kept.sent("GET", "/openapi.json") == []
    dcron(*apply(dcron, "--prune", "--dry-run"))
    assert len(kept.sent("DELETE", "/jobs/2") + kept.sent("DELETE", "/jobs/3")) == 2
    assert len(kept.sent("GET", "/openapi.json")) == 1


def test_pruning_without_a_label_says_that_all_are_meant(dcron: Terminal, kept: KeptJobs) -> None:
    told = dcron(*apply(dcron, "--prune"), typed="n\n")
    assert told.exit_code == 1
    assert "whoever made it: 2 jobs" in told.stderr
    assert "do these 4, 2 of them removals?" in told.stderr
    assert kept.writes() == []
    assert dcron(*apply(dcron, "--prune")).exit_code == 2  # nobody can be asked
    assert kept.writes() == []
    told = dcron(*apply(dcron, "--prune", "--yes"))
    assert told.exit_code == 0, told.output
    assert "whoever made it: 2 jobs" in told.stderr
    assert {one["name"] for one in kept.jobs.values()} == {"hello", "backup", None}


def test_a_label_without_prune_is_a_usage_error(dcron: Terminal, kept: KeptJobs) -> None:
    assert dcron(*apply(dcron, "--label", "app=web", "--yes")).exit_code == 2
    assert kept.asked == []
