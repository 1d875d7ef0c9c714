"""Cgroups, against a tree of plain files that looks like either version."""

from __future__ import annotations

from pathlib import Path

import pytest

from dcron_common.errors import LaunchError
from dcron_worker.runner.limits import Cgroups, Group, hierarchies
from dcron_worker.runner.model import Launch


def launch(
    memory: int | None = None, cpu: int | None = None, processes: int | None = None
) -> Launch:
    return Launch(
        "run", 1, "0", 1, 1, ("true",), {}, None, None, 60,
        memory_bytes=memory, cpu_percent=cpu, processes=processes,
    )  # fmt: skip


def files(directory: Path, *names: str) -> Path:
    """The files that the kernel would make in a new cgroup."""
    directory.mkdir(parents=True)
    for name in names:
        (directory / name).write_text("")
    return directory


def test_version_2_limits_are_written(tmp_path: Path) -> None:
    names = ("memory.max", "memory.swap.max", "memory.oom.group", "cpu.max", "pids.max")
    run = files(tmp_path / "run", *names)
    Cgroups(v2=tmp_path).prepare(launch(memory=4096, cpu=150, processes=7))
    assert [(run / name).read_text() for name in names] == ["4096", "0", "1", "150000 100000", "7"]


def test_version_1_limits_are_written(tmp_path: Path) -> None:
    memory = files(tmp_path / "memory/run", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
    cpu = files(tmp_path / "cpu/run", "cpu.cfs_period_us", "cpu.cfs_quota_us")
    pids = files(tmp_path / "pids/run", "pids.max")
    cgroups = Cgroups(v1={name: tmp_path / name for name in ("memory", "cpu", "pids")})
    group = cgroups.prepare(launch(memory=4096, cpu=50, processes=7))
    assert group is not None and set(group.directories) == {memory, cpu, pids}
    assert (memory / "memory.limit_in_bytes").read_text() == "4096"
    assert (memory / "memory.memsw.limit_in_bytes").read_text() == "4096"
    assert (cpu / "cpu.cfs_quota_us").read_text() == "50000"
    assert (pids / "pids.max").read_text() == "7"


def test_a_controller_that_is_missing_is_the_reason(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match="limits.memory_bytes cannot be enforced on this host"):
        Cgroups(v2=tmp_path).prepare(launch(memory=4096))
    assert not (tmp_path / "run").exists()


def test_a_run_without_limits_needs_no_cgroup() -> None:
    assert Cgroups().prepare(launch()) is None


def test_the_exceeded_limit_is_named(tmp_path: Path) -> None:
    (tmp_path / "memory.events").write_text("low 0\noom 1\noom_kill 1\n")
    (tmp_path / "pids.events").write_text("max 3\n")
    group = Group(tmp_path)
    assert group.exceeded(launch(memory=4096)) == "memory limit of 4096 bytes exceeded"
    assert group.exceeded(launch(processes=7)) == "limit of 7 processes reached"
    assert group.exceeded(launch()) is None


def test_being_held_back_is_told_by_either_version(tmp_path: Path) -> None:
    (tmp_path / "cpu.stat").write_text("nr_throttled 9\nthrottled_usec 1500000\n")
    told = "cpu limit of 10 % held it back for 1.5 s"
    assert Group(tmp_path).throttled(launch(cpu=10)) == told
    (tmp_path / "cpu.stat").write_text("nr_throttled 9\nthrottled_time 1500000000\n")
    assert Group(None, {"cpu": tmp_path}).throttled(launch(cpu=10)) == told
    assert Group(tmp_path).throttled(launch()) is None


def test_version_1_tells_of_the_oom_killer_too(tmp_path: Path) -> None:
    (tmp_path / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    assert Group(None, {"memory": tmp_path}).exceeded(launch(memory=4096))


def test_who_is_in_a_cgroup_below_or_in_another_hierarchy_is_in_the_group(tmp_path: Path) -> None:
    for folder, pids in (("v2", "1\n"), ("v2/inner/deeper", "2\n3\n"), ("pids/inner", "3\n4\n")):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / "cgroup.procs").write_text(pids)
    assert Group(tmp_path / "v2", {"pids": tmp_path / "pids"}).pids() == {1, 2, 3, 4}
    assert Group(tmp_path / "gone").pids() == set()


def test_a_group_goes_with_what_was_made_below_it_in_every_hierarchy(tmp_path: Path) -> None:
    for folder in ("v2/inner/deeper", "v2/other", "pids/inner"):
        (tmp_path / folder).mkdir(parents=True)
    group = Group(tmp_path / "v2", {"pids": tmp_path / "pids"})
    (tmp_path / "pids/inner/busy").touch()  # what cannot be removed, as a cgroup with members
    assert not group.remove()
    (tmp_path / "pids/inner/busy").unlink()
    assert group.remove() and not list(tmp_path.iterdir())
    assert group.remove(), "it is gone already"


def test_a_group_is_vacant_when_the_kernel_says_that_nobody_populates_it(tmp_path: Path) -> None:
    for events, vacant in (("populated 1\nfrozen 0\n", False), ("populated 0\nfrozen 0\n", True)):
        (tmp_path / "cgroup.events").write_text(events)
        assert Group(tmp_path).vacant() is vacant
    assert Group(tmp_path / "gone").vacant()
    (tmp_path / "pids/busy").mkdir(parents=True)
    (tmp_path / "pids/busy/somebody").touch()
    assert not Group(tmp_path, {"pids": tmp_path / "pids"}).vacant()


def test_what_a_killed_launcher_left_goes_with_what_was_made_below_it(tmp_path: Path) -> None:
    for folder in ("over/inner", "needed/inner"):
        (tmp_path / folder).mkdir(parents=True)
    Cgroups(v2=tmp_path).sweep(lambda run_id: run_id == "needed")
    assert [path.name for path in tmp_path.iterdir()] == ["needed"]


def test_hierarchies_of_a_hybrid_host_are_found() -> None:
    mountinfo = (
        "30 25 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
        "31 25 0:27 /base /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "32 25 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n"
        "33 25 8:1 / / rw - ext4 /dev/sda rw\n"
    )
    membership = "4:memory:/base/unit\n1:name=systemd:/unit\n0::/system.slice/unit\n"
    root = Path("/sys/fs/cgroup")
    assert hierarchies(mountinfo, membership) == [
        (set(), root / "unified", root / "unified/system.slice/unit"),
        ({"memory"}, root / "memory", root / "memory/unit"),
        ({"name=systemd"}, root / "systemd", root / "systemd/unit"),
    ]
