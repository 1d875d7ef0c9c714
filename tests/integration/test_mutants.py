"""Each patch in tests/mutants breaks one rule of the protocol, and the test that it names must
notice. A test that a broken protocol passes would show nothing; nor would one that fails anyway."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATCHES = sorted((ROOT / "tests" / "mutants").glob("*.patch"))
PACKAGES = ("dcron_app", "dcron_cli", "dcron_common", "dcron_worker", "chaos", "tests")
FOUND_BY = re.compile(r"^Found by: (tests/\S+\.py::test_\w+)$", re.MULTILINE)
NOTICED = re.compile(r"^E +(assert |AssertionError)", re.MULTILINE)
FAILED = 1  # pytest's exit code for tests that failed, and not for what could not be run
OPTIONS = ("-p", "no:cacheprovider", "--hypothesis-profile=unshrunk")
LONGEST = 300  # seconds


def found_by(patch: Path) -> str:
    """The one test that has to notice."""
    found = FOUND_BY.search(patch.read_text())
    assert found, f"{patch.name} does not name one test that finds it"
    return found[1]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A tree of its own to be broken. What was compiled comes with it: it goes by a source's time,
    and a patch changes that."""
    leave = shutil.ignore_patterns("*.pyc.*")  # another process is about to rename it
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=leave)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def ran(folder: Path, *tests: str) -> tuple[int, str]:
    """pytest on a copy: its exit code, and what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *OPTIONS, *tests],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=LONGEST,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("patch", PATCHES, ids=lambda path: path.stem)
def test_a_broken_rule_is_noticed(patch: Path, copy: Path) -> None:
    subprocess.run(["patch", "-p1", "-s", "-i", str(patch)], cwd=copy, check=True)
    code, said = ran(copy, found_by(patch))
    assert code == FAILED and NOTICED.search(said), said[-3000:]


def test_what_is_not_broken_passes_the_same_tests(copy: Path) -> None:
    code, said = ran(copy, *map(found_by, PATCHES))
    assert code == 0, said[-3000:]
