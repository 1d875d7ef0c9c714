"""What the doctor makes of what it saw: each way to be wrong gives its finding and its remedy."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from dcron_cli.doctor.facts import (
    Api,
    AppFacts,
    Certificate,
    Clock,
    ConfigFile,
    CrontabFile,
    Disk,
    Facts,
    Fifo,
    Results,
    Service,
    Trouble,
    Unit,
    WorkerFacts,
)
from dcron_cli.doctor.finding import Finding, Level, is_well
from dcron_cli.doctor.judge import judge
from tests.unit.cli.well import (
    APP,
    DAY,
    FACTS,
    NOW,
    REGISTRATION,
    SERVERS,
    WORKER,
    app,
    launcher,
    node,
    worker,
    zookeeper,
)

ILL, WARN = Level.ILL, Level.WARN
CONFIG = Path("/etc/dcron/worker.toml")
FILE = CrontabFile("dcron", 0o644, 0, True, True, frozenset({1, 2}))
DISK = Disk(Path("/var"), 50 * 2**30, 0.5, 0.9)
FIFO = Fifo(Path("/run/dcron/fire"), "fifo")
CERTIFICATE = Path("/etc/dcron/api.crt")


def unit(name: str, active: str = "active", **more: Any) -> Facts:
    return node(units=(Unit(name, active, "running", **more),))


def not_ok(facts: Facts) -> list[Finding]:
    return [finding for finding in judge(facts) if finding.level is not Level.OK]


def test_where_all_is_well_every_part_says_so() -> None:
    found = judge(FACTS)
    assert not_ok(FACTS) == []
    assert is_well(found)
    assert {finding.what for finding in found} >= {
        *("config", "services", "clock", "disk", "certificates", "names", "crontab", "crond"),
        *("fifo", "launcher", "lease", "results", "zookeeper", "registration", "database"),
        *("store", "api", "app zookeeper", "app database", "app store"),
    }


def test_a_node_of_one_kind_is_judged_by_its_kind_only() -> None:
    assert {f.what for f in judge(replace(FACTS, worker=None))}.isdisjoint({"crontab", "fifo"})
    assert "api" not in {f.what for f in judge(replace(FACTS, app=None))}


CASES: list[tuple[str, Facts, Level, str, str, str]] = [
    ("refused config", node(configs=(ConfigFile(CONFIG, 0o600, "worker.name: is missing"),)),
     ILL, "config", "worker.name", "worker.toml"),
    ("open config", node(configs=(ConfigFile(CONFIG, 0o644),)), ILL, "config", "everybody",
     "chmod o= /etc/dcron/worker.toml"),
    ("stopped crond", unit("cron.service", "inactive"), ILL, "cron", "inactive",
     "systemctl start cron"),
    ("failed database", unit("mariadb.service", "failed"), ILL, "mariadb", "failed",
     "playbooks/recover.yml"),
    ("missing unit", unit("dcron-api.service", "missing"), ILL, "dcron-api", "not installed",
     "site.yml"),
    ("stopped process", unit("dcron-worker.service", process="T"), ILL, "dcron-worker",
     "stands still", "systemctl kill -s CONT dcron-worker"),
    ("restarts", unit("dcron-api.service", restarts=9), WARN, "dcron-api", "9 restarts",
     "journalctl -u dcron-api"),
    ("old release", unit("dcron-api.service", release="old"), WARN, "dcron-api", "release old",
     "systemctl restart dcron-api"),
    ("clock off", node(clock=Clock(-2.5, True)), ILL, "clock", "-2.5", "chronyc"),
    ("clock a little off", node(clock=Clock(0.6, True)), WARN, "clock", "+0.6", "chronyc"),
    ("clock alone", node(clock=Clock(0.0, False)), WARN, "clock", "not synchronised", "chronyc"),
    ("full disk", node(disks=(replace(DISK, free_bytes=2**20),)), ILL, "disk", "1 MiB", "du "),
    ("nearly full disk", node(disks=(replace(DISK, free_share=0.05),)), WARN, "disk", "5%", "du "),
    ("no inodes", node(disks=(replace(DISK, free_files_share=0.0),)), ILL, "disk", "files", "du "),
    ("certificate over", node(certificates=(Certificate(CERTIFICATE, NOW - 1),)), ILL,
     "certificates", "is over", "site.yml"),
    ("certificate ends", node(certificates=(Certificate(CERTIFICATE, NOW + 29 * DAY),)), WARN,
     "certificates", "29 days", "site.yml"),
    ("certificate unread", node(certificates=(Certificate(CERTIFICATE, None, "cannot be read"),)),
     ILL, "certificates", "cannot be read", "site.yml"),
    ("no address", node(unresolved=("ctl2",)), ILL, "names", "ctl2", "/etc/hosts"),
    ("no crontab", worker(crontab=()), ILL, "crontab", "missing",
     "systemctl restart dcron-worker"),
    ("edited crontab", worker(crontab=(replace(FILE, intact=False),)), ILL, "crontab",
     "edited by hand", "systemctl restart dcron-worker"),
    ("crontab's mode", worker(crontab=(replace(FILE, mode=0o666),)), ILL, "crontab", "0666",
     "chmod 644 /etc/cron.d/dcron"),
    ("crontab's owner", worker(crontab=(replace(FILE, owner=1000),)), ILL, "crontab", "root",
     "chown root /etc/cron.d/dcron"),
    ("no tick line", worker(crontab=(replace(FILE, ticks=False),)), ILL, "crontab", "every minute",
     "systemctl restart dcron-worker"),
    ("late tick", worker(tick_age=200.0), ILL, "crond", "200 s", "systemctl restart cron"),
    ("no tick", worker(tick_age=None), ILL, "crond", "ten minutes", "systemctl restart cron"),
    ("no FIFO", worker(fifo=replace(FIFO, kind="missing")), ILL, "fifo", "missing",
     "systemctl restart dcron-fire.socket"),
    ("a file for a FIFO", worker(fifo=replace(FIFO, kind="other")), ILL, "fifo", "no FIFO", "rm "),
    ("FIFO unheld", worker(fifo=replace(FIFO, held=False)), ILL, "fifo", "nobody reads",
     "systemctl restart dcron-fire.socket"),
    ("open FIFO", worker(fifo=replace(FIFO, mode=0o622)), WARN, "fifo", "open to others", "chmod"),
    ("no launcher", launcher(listens=False), ILL, "launcher", "nobody listens",
     "systemctl restart dcron-launcher"),
    ("lease over", launcher(lease=-4.0), ILL, "lease", "4 s ago", "journalctl -u dcron-worker"),
    ("no lease", launcher(lease=None), ILL, "lease", "this boot", "journalctl -u dcron-worker"),
    ("old results", launcher(results=Results(0, 7, NOW - 500)), WARN, "results", "7 results wait",
     "journalctl -u dcron-worker"),
    ("no session", zookeeper(session="no server is part of a quorum"), ILL, "zookeeper", "quorum",
     "systemctl start dcron-zookeeper"),
    ("a server away", zookeeper(servers={**SERVERS, "ctl3": ""}, problems={"ctl3": "refused"}),
     WARN, "zookeeper", "ctl3 (refused)", "systemctl start dcron-zookeeper"),
    ("not admitted", zookeeper(admitted=False, registered=None), ILL, "registration",
     "never admitted", "dcron-app worker admit node1"),
    ("unregistered", zookeeper(registered=None), ILL, "registration", "not registered",
     "systemctl restart dcron-worker"),
    ("another machine", zookeeper(registered=replace(REGISTRATION, boot_id="other")), ILL,
     "registration", "another machine", "name of its own"),
    ("the worker's own word", zookeeper(registered=replace(REGISTRATION, ill=["crond"])), ILL,
     "registration", "crond is silent", "systemctl restart cron"),
    ("a clock by the worker's word", zookeeper(registered=replace(REGISTRATION, ill=["clock"])),
     ILL, "registration", "its clock", "chronyc tracking"),
    ("outputs by the worker's word", zookeeper(registered=replace(REGISTRATION, ill=["outputs"])),
     ILL, "registration", "only the tail", "journalctl -u dcron-worker -g 'outputs wait"),
    ("an unknown word", zookeeper(registered=replace(REGISTRATION, ill=["moon"])), ILL,
     "registration", "moon", "journalctl"),
    ("old version", zookeeper(registered=replace(REGISTRATION, version="0.0.9")), WARN,
     "registration", "0.0.9", "systemctl restart dcron-worker"),
    ("unwritten job", zookeeper(assigned=frozenset({1, 2, 3})), WARN, "crontab",
     "jobs 3 are not in the crontab", "systemctl restart dcron-worker"),
    ("stale job", zookeeper(assigned=frozenset({1})), WARN, "crontab", "jobs 2 are not assigned",
     "systemctl restart dcron-worker"),
    ("no database", worker(database=Service("db:3307", "gone")), ILL, "database", "gone",
     "playbooks/recover.yml"),
    ("a refusing database", worker(database=Service("db:3307", "denied", refused=True)), ILL,
     "database", "denied", "site.yml"),
    ("no store", worker(store=Service("s3", "gone")), ILL, "store", "gone", "s3_store.yml"),
    ("no manager", app(zookeeper=replace(APP.zookeeper, managers=0)), ILL, "manager", "no manager",
     "systemctl start dcron-manager"),
    ("API unready", app(api=Api(503, ("database",))), ILL, "api", "database", ""),
    ("API degraded", app(api=Api(200, ("object_store",))), WARN, "api", "object_store", ""),
    ("API at a loss", app(api=Api(500)), ILL, "api", "500", "systemctl restart dcron-api"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "level", "what", "message", "remedy"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_what_is_wrong_is_found_and_nothing_else(
    facts: Facts, level: Level, what: str, message: str, remedy: str
) -> None:
    (found,) = not_ok(facts)
    assert (found.level, found.what) == (level, what)
    assert message in found.message
    assert remedy in found.remedy
    assert is_well(judge(facts)) == (level is Level.WARN)


def test_a_crond_that_has_just_started_is_given_its_minute() -> None:
    young = replace(worker(tick_age=200.0), units=(Unit("cron.service", "active", "run", age=9.0),))
    (found,) = not_ok(young)
    assert (found.level, found.what) == (WARN, "crond")


def test_a_crontab_that_was_just_written_is_given_its_minute() -> None:
    (found,) = not_ok(worker(tick_age=None, crontab=(replace(FILE, age=9.0),)))
    assert (found.level, found.what) == (WARN, "crond")


def test_a_crond_that_fell_silent_is_ill_however_new_the_crontab_is() -> None:
    (found,) = not_ok(worker(tick_age=200.0, crontab=(replace(FILE, age=9.0),)))
    assert (found.level, found.what) == (ILL, "crond")


def test_a_unit_that_is_installed_but_not_enabled_is_left_out() -> None:
    found = judge(unit("haproxy.service", "inactive", needed=False))
    assert not any("haproxy" in finding.what + finding.message for finding in found)


def troubled() -> list[Facts]:
    """The node, with each part in turn that could not be looked at."""
    parts: list[Facts] = []
    for kind, base in ((Facts, FACTS), (WorkerFacts, WORKER), (AppFacts, APP)):
        for field in fields(kind):
            if "Trouble" not in str(field.type):
                continue
            changed = replace(base, **{field.name: Trouble("no answer in time")})
            parts.append(
                changed if isinstance(changed, Facts)
                else replace(FACTS, worker=changed) if isinstance(changed, WorkerFacts)
                else replace(FACTS, app=changed)
            )  # fmt: skip
    return parts


@pytest.mark.parametrize("facts", troubled())
def test_a_part_that_could_not_be_looked_at_is_never_taken_for_well(facts: Facts) -> None:
    assert any("no answer in time" in finding.message for finding in not_ok(facts))


def test_a_journal_that_cannot_be_read_is_ill() -> None:
    (found,) = not_ok(launcher(results=Trouble("Permission denied")))
    assert (found.level, found.what) == (ILL, "results")


def test_a_finding_is_one_line() -> None:
    assert Finding(ILL, "cron", "is inactive", "systemctl start cron").line() == (
        "ill   cron             is inactive  ->  systemctl start cron"
    )
