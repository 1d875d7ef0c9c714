"""GET /jobs: filters, sorts, search, pages; what is refused."""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64encode
from typing import Any
from urllib.parse import quote

import pytest

from dcron_app.api import job_lists
from dcron_common.db.models import Job, JobText
from tests.unit.app.api_client import COMMAND, Api


def post(api: Api, **more: Any) -> str:
    answer = api.post("/jobs", {**COMMAND, **more})
    assert answer.status == 201, answer.body
    return str(answer.json["id"])


def ids(api: Api, query: str) -> list[str]:
    answer = api.get(f"/jobs?{query}")
    assert answer.status == 200, answer.body
    return [job["id"] for job in answer.json]


def walk(api: Api, query: str) -> list[str]:
    """All ids, page by page, by the links alone."""
    path: str | None = f"/jobs?{query}"
    found: list[str] = []
    while path is not None:
        answer = api.get(path)
        assert answer.status == 200, answer.body
        found += [job["id"] for job in answer.json]
        link = re.fullmatch('<(.*)>; rel="next"', answer.headers.get("Link", ""))
        path = link[1] if link else None
    return found


@pytest.fixture
def several(api: Api) -> Api:
    """Five jobs that differ in all that is filtered by."""
    post(api, name="Nightly backup", labels={"tier": "gold", "app": "web"}, executable="rsync -a")
    post(api, name="cleanup", labels={"tier": "gold"}, owner="operator", team="blue", paused=True)
    post(api, labels={"tier": "silver", "app": "web"}, owner="operator", run_as="backup")
    body = {"executable": "IyEvYmluL3No", "type": "script", "filename": "Rotate.sh"}
    post(api, name="a", **body)
    post(api, name="zz", labels={"note": "a=b & c"})
    api.delete("/jobs/5")
    database = api.services.database
    database.transaction(lambda: Job.update(worker="node1").where(Job.id << [1, 3]).execute())
    database.transaction(lambda: Job.update(status="error").where(Job.id == 3).execute())
    return api


FILTERS = [
    ("", "12345"),
    ("name=a", "4"),
    ("name=Nightly%20backup", "1"),
    ("name=nightly%20backup", ""),
    ("name=backup", ""),
    ("name=zz", "5"),
    ("name=zz&removed=false", ""),
    ("name=cleanup&label=tier=gold", "2"),
    ("name=cleanup&status=error", ""),
    ("status=error", "3"),
    ("status=finished", "5"),
    ("type=script", "4"),
    ("owner=operator", "23"),
    ("team=blue", "2"),
    ("worker=node1", "13"),
    ("run_as=backup", "3"),
    ("paused=true", "2"),
    ("paused=false", "1345"),
    ("removed=true", "5"),
    ("removed=false", "1234"),
    ("label=tier=gold", "12"),
    ("label=tier=gold&label=app=web", "1"),
    ("label=tier=gold&label=tier=silver", ""),
    (f"label={quote('note=a=b & c')}", "5"),
    ("q=BACKUP", "1"),
    ("q=rsync", "1"),
    ("q=rotate", "4"),
    ("q=%25", ""),
    ("q=_", ""),
    ("q=IyEv", ""),
    ("q=ls&owner=operator&label=app=web", "3"),
    ("owner=operator&status=error", "3"),
    ("owner=nobody", ""),
]


@pytest.mark.parametrize(("query", "expected"), FILTERS)
@pytest.mark.parametrize("few", [0, 1000])
def test_a_filter_finds_just_what_it_says(several, monkeypatch, query, expected, few) -> None:
    """Whether few jobs have the label or many, which are found by other ways."""
    monkeypatch.setattr("dcron_common.db.job_lists.FEW", few)
    assert ids(several, query) == list(expected)
    assert walk(several, f"{query}&limit=1".lstrip("&")) == list(expected)


SORTS = [
    ("id", "12345"),
    ("-id", "54321"),
    ("name", "31425"),
    ("-name", "52413"),
    ("status", "35124"),
    ("-status", "42153"),
    ("updated_at", "12345"),
    ("-updated_at", "54321"),
]


@pytest.mark.parametrize(("sort", "expected"), SORTS)
@pytest.mark.parametrize("limit", [1, 2, 5])
def test_a_sort_is_kept_over_all_pages(several: Api, sort: str, expected: str, limit: int) -> None:
    database = several.services.database
    for number in (1, 2, 3, 4, 5):  # as if they had been changed one after the other
        query = Job.update(updated_at=1e9 + number / 7).where(Job.id == number)
        database.transaction(query.execute)
    assert walk(several, f"limit={limit}&sort={sort}") == list(expected)
    assert ids(several, f"sort={sort}") == list(expected)


def test_jobs_without_a_name_are_walked_through_in_both_directions(api: Api) -> None:
    for name in (None, "b", None, "a", None):
        post(api, name=name)
    assert walk(api, "limit=1&sort=name") == list("13542")
    assert walk(api, "limit=1&sort=-name") == list("24531")


def test_a_page_is_not_moved_by_jobs_that_come_and_go(api: Api) -> None:
    for name in ("b", "d", "f"):
        post(api, name=name)
    first = api.get("/jobs?limit=2&sort=name&removed=false")
    api.delete("/jobs/1")
    post(api, name="a")
    post(api, name="e")
    (path,) = re.findall("<(.*)>", first.headers["Link"])
    assert [job["name"] for job in api.get(path).json] == ["e", "f"]


def test_the_link_carries_the_whole_question(several: Api) -> None:
    answer = several.get("/jobs?limit=1&sort=-name&label=tier%3Dgold&removed=false&q=c")
    link = answer.headers["Link"]
    for part in ("limit=1", "sort=-name", "label=tier%3Dgold", "removed=false", "q=c", "after="):
        assert part in link
    assert link.endswith('>; rel="next"')


def test_all_that_fits_is_streamed_without_a_limit(several: Api, monkeypatch) -> None:
    monkeypatch.setattr(job_lists, "PAGE", 2)
    assert ids(several, "sort=-id&removed=false") == list("4321")
    assert [job["id"] for job in several.get("/jobs").json] == list("12345")


def test_an_edit_moves_a_job_to_its_new_label_and_text(api: Api) -> None:
    post(api, name="old", labels={"a": "1"})
    api.call("PATCH", "/jobs/1", json.dumps({"name": "new", "labels": {"a": "2"}}).encode())
    assert ids(api, "label=a=1") == ids(api, "q=old") == []
    assert ids(api, "label=a=2") == ids(api, "q=new") == ["1"]


def test_only_the_beginning_of_a_long_command_is_searched(api: Api) -> None:
    post(api, executable="first " + "x" * 3000 + " last")
    assert ids(api, "q=first") == ["1"]
    assert ids(api, "q=last") == []
    assert len(api.services.database.read(JobText.get).text) == 1024


def test_every_user_may_list(several: Api) -> None:
    assert len(several.get("/jobs?limit=3", user="viewer").json) == 3
    assert several.get("/jobs?limit=3", user=None).status == 401


def cursor(*values: object) -> str:
    return urlsafe_b64encode(json.dumps(values, separators=(",", ":")).encode()).decode().strip("=")


REFUSED = [
    ("limit=0", "limit"),
    ("limit=1001", "limit"),
    ("sort=owner", "sort"),
    ("sort=name&sort=id", "sort"),
    ("status=running", "status"),
    ("type=shell", "type"),
    ("paused=yes", "paused"),
    ("removed=1", "removed"),
    ("label=tier", "label[0]"),
    ("label==x", "label[0]"),
    ("&".join(f"label=a{n}=1" for n in range(9)), "label"),
    ("q=", "q"),
    ("q=" + "x" * 129, "q"),
    ("q=a%0Ab", "q"),
    ("owner=", "owner"),
    ("run_as=A%20B", "run_as"),
    ("lable=a=b", "lable"),
    ("after=2", "after"),
    ("after=%C3%BC", "after"),
    ("after=" + "x" * 1025, "after"),
    ("after=" + cursor("id", None, 0), "after"),
    ("after=" + cursor("id", None, True), "after"),
    ("sort=name&after=" + cursor("name", "\ud800", 1), "after"),  # half a character
    ("after=" + cursor("id", None, 2**63), "after"),
    ("after=" + cursor("id", "x", 1), "after"),
    ("after=" + cursor("id", None), "after"),
    ("after=" + cursor("id", None, 1) + "A", "after"),
    ("sort=updated_at&after=" + cursor("updated_at", "1", 1), "after"),
    ("sort=updated_at&after=" + cursor("updated_at", 1e300, 1), "after"),
    ("sort=status&after=" + cursor("status", None, 1), "after"),
    ("sort=name&after=" + cursor("name", "x" * 129, 1), "after"),
    ("sort=name&after=" + cursor("name", ["a"], 1), "after"),
]


@pytest.mark.parametrize(("query", "field"), REFUSED, ids=[one[0][:40] for one in REFUSED])
def test_a_bad_question_is_refused_by_the_name_of_its_key(api: Api, query, field) -> None:
    answer = api.get(f"/jobs?{query}")
    assert (answer.status, answer.fields) == (422, [field])
    assert answer.json["errors"][0]["message"].isprintable()


def test_a_cursor_of_another_sort_is_refused_and_says_which(several: Api) -> None:
    link = several.get("/jobs?limit=1&sort=name").headers["Link"]
    (after,) = re.findall("after=([^&>]+)", link)
    for sort in ("id", "-name", "status"):
        answer = several.get(f"/jobs?limit=1&sort={sort}&after={after}")
        assert (answer.status, answer.fields) == (422, ["after"])
        assert "sort=name" in answer.json["errors"][0]["message"]
