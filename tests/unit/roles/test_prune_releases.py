"""Which releases a host may forget."""

import importlib.util
from pathlib import Path

FILE = Path(__file__).parents[3] / "roles/dcron_runtime/library/prune_releases.py"
spec = importlib.util.spec_from_file_location("prune_releases", FILE)
assert spec and spec.loader
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)


def test_what_runs_what_is_present_and_what_comes_stay(tmp_path: Path) -> None:
    for name in ("coming", "forgotten", "present", "runs"):
        (tmp_path / "dcron/releases" / name).mkdir(parents=True)
    (tmp_path / "dcron/venv").symlink_to(tmp_path / "dcron/releases/present")
    (tmp_path / "proc/12").mkdir(parents=True)
    command = f"{tmp_path}/dcron/releases/runs/bin/python\0-m\0dcron_worker"
    (tmp_path / "proc/12/cmdline").write_text(command)
    gone = module.unused(tmp_path / "dcron", "coming", tmp_path / "proc")
    assert [release.name for release in gone] == ["forgotten"]


def test_a_host_without_releases_has_none_to_forget(tmp_path: Path) -> None:
    assert module.unused(tmp_path, "coming", tmp_path) == []
