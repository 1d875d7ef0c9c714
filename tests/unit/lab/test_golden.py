import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lab import golden, mounts, names, state
from lab.shell import succeeds, wait_until

CHECKOUT = Path(__file__).resolve().parents[3]
needs_namespaces = pytest.mark.skipif(
    os.geteuid() != 0 or not succeeds(*golden.CONTAINED, "true"),
    reason="needs root and its right to make namespaces, as the lab does",
)


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache of bases with a build that somebody began."""
    monkeypatch.setattr(names, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(state, "LOCKS", tmp_path / "locks")
    (tmp_path / "cache/.building-0123/root/usr").mkdir(parents=True)
    (tmp_path / "cache/4567/root").mkdir(parents=True)
    return tmp_path / "cache"


def test_the_golden_base_holds_more_than_the_bare_one() -> None:
    assert set(golden.packages("bare")) < set(golden.packages("golden"))
    assert {"mariadb-server", "keepalived", "chrony", "swift-proxy"} <= set(
        golden.packages("golden")
    )


def test_another_kind_or_recipe_makes_another_base() -> None:
    assert (
        len({golden.digest(k, r) for k in ("bare", "golden") for r in ("recipe", "another")}) == 4
    )
    assert golden.digest("bare", "recipe") == golden.digest("bare", "recipe")


def test_services_of_the_cluster_are_switched_off_and_those_of_a_host_are_kept() -> None:
    listed = (
        "cron.service             enabled enabled\n"
        "mariadb.service          enabled enabled\n"
        "ssh.service              enabled enabled\n"
        "remote-fs.target         enabled enabled\n"
        "dpkg-db-backup.timer     enabled enabled\n"
    )
    assert golden.units_to_disable(listed) == ["mariadb.service", "dpkg-db-backup.timer"]


def test_what_every_host_gets_is_in_the_golden_base_and_cron_is_not_in_the_bare_one() -> None:
    defaults = yaml.safe_load((CHECKOUT / "roles/common/defaults/main.yml").read_text())
    assert set(defaults["common_packages"]) <= set(golden.packages("golden"))
    assert "cron" in defaults["common_packages"]
    assert "cron" not in golden.packages("bare")


def test_what_an_interrupted_build_left_is_removed(cache: Path) -> None:
    golden.clean()
    assert [entry.name for entry in cache.iterdir()] == ["4567"]


def test_a_build_that_goes_on_is_left_alone(cache: Path) -> None:
    with state.lock("base"):
        golden.clean()
    assert (cache / ".building-0123/root/usr").is_dir()


@needs_namespaces
def test_a_build_ends_with_whoever_began_it_and_so_do_its_mounts(tmp_path: Path) -> None:
    held, folder = tmp_path / "held", tmp_path / "mounted"
    held.touch()
    folder.mkdir()
    # A build that mounts, and leaves a process behind that has left its session.
    line = f"mount -t tmpfs none {folder} && setsid flock {held} sh -c 'echo begun; sleep 1000' &"
    code = (
        "from pathlib import Path; from lab import golden, shell;"
        f"shell.stream([*golden.CONTAINED, 'sh', '-c', {line + ' wait'!r}],"
        f" Path({str(tmp_path / 'log')!r}), lambda line: True)"
    )
    begun = subprocess.Popen(
        [sys.executable, "-c", code], cwd=CHECKOUT, stderr=subprocess.PIPE, text=True
    )
    assert begun.stderr and "begun" in begun.stderr.readline()

    with held.open() as file:

        def is_free() -> bool:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        assert not is_free()
        begun.kill()
        begun.wait()
        begun.stderr.close()
        wait_until(is_free, 20, "the build's last process ends")
    assert mounts.below(folder, Path("/proc/self/mounts").read_text()) == []
