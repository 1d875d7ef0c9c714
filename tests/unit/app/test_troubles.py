"""What is wrong, in words."""

from __future__ import annotations

import pytest

from dcron_app.api.troubles import _ILL, Seen, troubles
from dcron_common.protocol import LAUNCHER

WELL = {"database": True, "coordinator": True, "object_store": True, "leader": "ctl1"}


def said(**changes: object) -> str:
    seen = Seen(**{**WELL, "online": ["node1"], **changes})  # type: ignore[arg-type]
    return "\n".join(f"{one.what} -> {one.remedy}" for one in troubles(seen))


def test_where_all_is_well_nothing_is_said() -> None:
    assert said() == ""
    assert said(offline=["node2"], drained=["node2"]) == "", "one that was meant to go"
    assert said(late={"node1": 3.0}, inbox=5, ends=3) == ""


@pytest.mark.parametrize(
    ("changes", "what", "remedy"),
    [
        ({"coordinator": False}, "ZooKeeper does not answer", "systemctl status zookeeper"),
        ({"database": False}, "the database does not answer", "playbooks/recover.yml"),
        ({"object_store": False}, "the object store does not answer", "[object_store]"),
        ({"leader": ""}, "no manager leads", "systemctl status dcron-manager"),
        ({"online": []}, "no worker is online", "systemctl start dcron-worker"),
        ({"drained": ["node1"]}, "is drained: no job can be placed", "/workers/NAME/resume"),
        ({"offline": ["node2"]}, "offline: node2;", "DELETE /workers/NAME"),
        ({"isolated": ["node2"]}, "not over by the record: node2", "dcron doctor"),
        ({"late": {"node1": 95.0, "node2": 5.0}}, "late by up to 95 s: node1 ", "dcron-worker"),
        ({"inbox": 500}, "500 changes of jobs wait", "on ctl1:"),
        ({"ends": 100}, "ends of 100 runs", "takes writes"),
        ({"ill": {"crond": ["node1"]}}, "node1: crond gave no tick", "systemctl status cron"),
        ({"ill": {LAUNCHER: ["node1"]}}, "nothing can start there", "restart dcron-launcher"),
        ({"ill": {"odd\n": ["node1"]}}, "says 'odd\\n'", "dcron doctor"),
    ],
)
def test_each_trouble_says_what_is_wrong_and_what_to_do(
    changes: dict[str, object], what: str, remedy: str
) -> None:
    (line,) = said(**changes).splitlines()
    before, _, after = line.partition(" -> ")
    assert what in f"{before} " and remedy in after


def test_what_is_not_known_is_not_called_wrong() -> None:
    assert said(coordinator=False, leader=None).count("->") == 1
    assert said(database=False, online=None).count("->") == 1


def test_of_many_workers_some_are_named() -> None:
    line = said(offline=[f"node{n}" for n in range(2, 20)])
    assert "node2, node3, node4, node5, node6 and 13 others" in line


def test_every_word_that_a_worker_says_of_itself_has_a_remedy() -> None:
    words = {"crond", "crontab", LAUNCHER, "records", "outputs", "lease", "clock"}
    assert words == _ILL.keys()
