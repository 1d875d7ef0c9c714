import base64
import hashlib

from dcron_common import paths
from dcron_common.db import runs
from dcron_common.db.models import Job
from dcron_common.paths import Slot
from dcron_common.protocol import Fence, Notice
from dcron_common.run import RunRecord, RunState, Trigger
from tests.unit.app.api_client import COMMAND, NOW, Api

SEED_KEYS = ["id", "status", "executable", "schedule", "type"]
SCRIPT = b"#!/bin/sh\necho hello\n"


def script(**more: object) -> dict[str, object]:
    encoded = base64.b64encode(SCRIPT).decode()
    return {"executable": encoded, "schedule": "*/10 * * * *", "type": "script", **more}


def run_of(job_id: int, minute: int, state: RunState, attempt: int = 1) -> RunRecord:
    return RunRecord(f"r{minute}.{attempt}", job_id, minute, attempt, Trigger.CRON, state)


def fence(api: Api, job_id: int, incarnation: str, node: str = "") -> str:
    path = paths.fence(Slot(job_id, node))
    api.coordinator.create(path, Fence(incarnation, 3, "node1", 1, "active", 0).encode())
    return path


def test_a_posted_command_is_answered_with_the_five_seed_keys_first(api: Api) -> None:
    answer = api.post("/jobs", COMMAND)
    assert answer.status == 201
    assert answer.headers["Location"] == "/jobs/1"
    assert list(answer.json)[:5] == SEED_KEYS
    seed = {"id": "1", "status": "scheduled", **COMMAND}
    assert {key: answer.json[key] for key in SEED_KEYS} == seed


def test_the_other_keys_have_the_documented_defaults(api: Api) -> None:
    job = api.post("/jobs", COMMAND).json
    assert {key: job[key] for key in list(job)[5:]} == {
        "name": None,
        "labels": {},
        "owner": "admin",
        "team": None,
        "timezone": "UTC",
        "filename": None,
        "sha256": None,
        "arguments": [],
        "environment": {},
        "working_directory": None,
        "secrets": [],
        "run_as": "dcron-job",
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
        "revision": 1,
        "worker": None,
        "created_at": "2027-01-15T08:00:30Z",
        "updated_at": "2027-01-15T08:00:30Z",
        "next_run_at": "2027-01-15T08:05:00Z",
        "last_run": None,
    }


def test_a_posted_job_can_be_read_again(api: Api) -> None:
    made = api.post("/jobs", COMMAND).json
    assert api.get("/jobs/1").json == made
    assert api.get("/jobs").json == [made]


def test_a_one_shot_is_known_by_its_beginning_whatever_blanks_were_before_it(api: Api) -> None:
    job = api.post("/jobs", {**COMMAND, "schedule": " @at 2027-01-15T08:05:00Z\t"}).json
    assert job["schedule"] == "@at 2027-01-15T08:05:00Z"


def test_a_list_without_jobs_is_an_empty_array(api: Api) -> None:
    answer = api.get("/jobs")
    assert (answer.status, answer.json) == (200, [])


def test_a_long_list_is_streamed_whole_and_in_order(api: Api, monkeypatch) -> None:
    monkeypatch.setattr("dcron_app.api.job_lists.PAGE", 2)
    for _ in range(5):
        api.post("/jobs", COMMAND)
    assert [job["id"] for job in api.get("/jobs").json] == ["1", "2", "3", "4", "5"]


def test_a_limit_that_is_no_number_is_refused(api: Api) -> None:
    assert api.get("/jobs?limit=many").fields == ["limit"]
    assert api.get("/jobs?limit=0").status == 422


def test_a_new_job_is_announced_with_its_revision(api: Api) -> None:
    api.post("/jobs", COMMAND)
    (name,) = api.coordinator.children(paths.INBOX)
    assert paths.inbox_job(name) == 1
    assert Notice.decode(api.coordinator.get(f"{paths.INBOX}/{name}").data).revision == 1


def test_a_job_is_acknowledged_while_the_coordinator_is_away(api: Api) -> None:
    api.ensemble.disconnect(api.coordinator)
    assert api.post("/jobs", COMMAND).status == 201
    assert api.get("/jobs/1").status == 200


def test_a_script_is_stored_under_its_sha256_and_shown_by_its_address(api: Api) -> None:
    job = api.post("/jobs", script(filename="hello.sh")).json
    digest = hashlib.sha256(SCRIPT).hexdigest()
    assert job["executable"] == api.services.object_store.url(f"executables/{digest}")
    assert (job["filename"], job["sha256"]) == ("hello.sh", digest)
    assert api.services.object_store.get(f"executables/{digest}") == SCRIPT


def test_the_file_of_a_script_can_be_downloaded(api: Api) -> None:
    api.post("/jobs", script(filename="naïve.sh"))
    answer = api.get("/jobs/1/executable")
    assert (answer.status, answer.body) == (200, SCRIPT)
    expected = "attachment; filename=\"na_ve.sh\"; filename*=UTF-8''na%C3%AFve.sh"
    assert answer.headers["Content-Disposition"] == expected


def test_a_command_has_no_file_to_download(api: Api) -> None:
    api.post("/jobs", COMMAND)
    assert api.get("/jobs/1/executable").status == 404


def test_a_file_that_is_gone_from_the_store_is_404(api: Api) -> None:
    digest = api.post("/jobs", script()).json["sha256"]
    api.services.object_store.delete(f"executables/{digest}")
    assert api.get("/jobs/1/executable").status == 404


def test_a_binary_may_hold_any_bytes_up_to_the_limit(api: Api) -> None:
    data = bytes(range(256)) * 16
    body = {"executable": base64.b64encode(data).decode(), "schedule": "@daily", "type": "binary"}
    assert api.post("/jobs", body).status == 201
    assert api.get("/jobs/1/executable").body == data


def test_a_name_is_taken_until_its_job_is_removed(api: Api) -> None:
    assert api.post("/jobs", {**COMMAND, "name": "nightly"}).status == 201
    assert api.post("/jobs", {**COMMAND, "name": "nightly"}).status == 409
    api.delete("/jobs/1")
    assert api.post("/jobs", {**COMMAND, "name": "nightly"}).status == 201
    assert api.get("/jobs/1").json["name"] == "nightly"


def test_the_newest_attempt_of_the_newest_minute_is_the_last_run(api: Api) -> None:
    api.post("/jobs", COMMAND)
    minute = int(NOW) // 60 * 60
    records = [
        run_of(1, minute - 60, RunState.SUCCEEDED),
        run_of(1, minute, RunState.FAILED),
        run_of(1, minute, RunState.RUNNING, attempt=2),
    ]
    runs.record_runs(api.services.database, records, NOW)
    last = api.get("/jobs/1").json["last_run"]
    assert (last["attempt"], last["state"]) == (2, "running")
    assert api.get("/jobs").json[0]["last_run"] == last


def test_runs_are_listed_newest_first(api: Api) -> None:
    api.post("/jobs", COMMAND)
    minute = int(NOW) // 60 * 60
    records = [run_of(1, minute - 60 * back, RunState.SUCCEEDED) for back in range(3)]
    runs.record_runs(api.services.database, records, NOW)
    found = api.get("/jobs/1/runs?limit=2").json
    assert [one["scheduled_at"] for one in found] == [
        "2027-01-15T08:00:00Z",
        "2027-01-15T07:59:00Z",
    ]
    assert found[0]["job_id"] == "1"


def test_runs_of_no_job_are_404(api: Api) -> None:
    assert api.get("/jobs/9/runs").status == 404


def test_a_removed_job_is_finished_and_stays_readable(api: Api) -> None:
    api.post("/jobs", COMMAND)
    answer = api.delete("/jobs/1")
    assert (answer.status, answer.json["status"], answer.json["revision"]) == (200, "finished", 2)
    assert api.get("/jobs/1").json["status"] == "finished"
    assert api.get("/jobs/1").json["next_run_at"] is None


def test_removing_twice_gives_the_same_answer_and_one_audit_row(api: Api) -> None:
    api.post("/jobs", COMMAND)
    first = api.delete("/jobs/1").json
    audited = api.stored()["audit"]
    assert api.delete("/jobs/1").json == first
    assert api.stored()["audit"] == audited


def test_removing_closes_the_fence_before_the_answer(api: Api) -> None:
    api.post("/jobs", COMMAND)
    row = api.services.database.read(lambda: Job.get())
    path = fence(api, 1, row.incarnation)
    api.delete("/jobs/1")
    closed = Fence.decode(api.coordinator.get(path).data)
    assert (closed.state, closed.revision, closed.epoch) == ("removed", 2, 3)


def test_removing_a_job_on_all_workers_closes_every_fence(api: Api) -> None:
    api.post("/jobs", {**COMMAND, "placement": {"on": "all"}})
    row = api.services.database.read(lambda: Job.get())
    made = [fence(api, 1, row.incarnation, node) for node in ("node1", "node2")]
    other = fence(api, 257, "another", "node1")
    api.delete("/jobs/1")
    states = [Fence.decode(api.coordinator.get(path).data).state for path in [*made, other]]
    assert states == ["removed", "removed", "active"]


def test_removing_while_the_coordinator_is_away_is_503_and_may_be_repeated(api: Api) -> None:
    api.post("/jobs", COMMAND)
    api.ensemble.disconnect(api.coordinator)
    answer = api.delete("/jobs/1")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    api.ensemble.reconnect(api.coordinator)
    assert api.delete("/jobs/1").status == 200


def test_removing_no_job_is_404(api: Api) -> None:
    assert api.delete("/jobs/7").status == 404


def test_every_change_is_audited(api: Api) -> None:
    before = api.stored()["audit"]
    api.post("/jobs", COMMAND, user="operator")
    api.delete("/jobs/1", user="operator")
    assert api.stored()["audit"] == before + 2
