"""Imports go one way, and what must stand in one place stands there."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MAY_IMPORT = {
    "dcron_common": {"dcron_common"},
    "dcron_app": {"dcron_app", "dcron_common"},
    "dcron_worker": {"dcron_worker", "dcron_common"},
    "dcron_cli": {"dcron_cli", "dcron_app", "dcron_worker", "dcron_common"},
}


@cache
def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def users_of(module: str) -> set[str]:
    """Files of the product that import `module` or something below it."""
    return {
        str(path.relative_to(ROOT))
        for package in MAY_IMPORT
        for path in (ROOT / package).rglob("*.py")
        if any(name == module or name.startswith(f"{module}.") for name in imported(path))
    }


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_only_what_stands_below_it(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        ours = {name.split(".")[0] for name in imported(path)} & MAY_IMPORT.keys()
        assert ours <= MAY_IMPORT[package], path


def test_the_launcher_needs_the_standard_library_only() -> None:
    for path in (ROOT / "dcron_worker" / "runner").rglob("*.py"):
        assert not {n.split(".")[0] for n in imported(path)} & {"kazoo", "peewee", "pymysql"}, path


@pytest.mark.parametrize(
    ("module", "place"),
    [
        ("kazoo", "dcron_common/coordinator/"),
        ("peewee", "dcron_common/db/"),
        ("pymysql", "dcron_common/db/"),
        ("boto3", "dcron_common/object_store/"),
        ("nacl", "dcron_common/sealing/"),
        ("crontab", "dcron_worker/crontab_check"),
        ("bottle", "dcron_app/api/"),
        ("argon2", "dcron_app/passwords"),
        ("cryptography", "dcron_cli/doctor/look_host"),
        ("click", "dcron_cli/"),
        ("rich", "dcron_cli/"),
        ("requests", "dcron_cli/"),
        ("yaml", "dcron_cli/yamltext"),
    ],
)
def test_a_library_enters_at_one_place(module: str, place: str) -> None:
    users = users_of(module)
    assert users, f"{module} is used nowhere"
    assert all(user.startswith(place) for user in users), users
