"""What a release is built from."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[3]
ROLE = ROOT / "roles" / "dcron_runtime"


@pytest.fixture(scope="module")
def wheelhouse() -> ModuleType:
    spec = importlib.util.spec_from_file_location("wheelhouse", ROLE / "library" / "wheelhouse.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_release_has_every_file_of_its_packages_pages_too(wheelhouse: ModuleType) -> None:
    found = wheelhouse.sources(ROOT, ["dcron_app", "dcron_common"])
    names = set(map(str, found))
    assert {"setup.py", "dcron_app/main.py", "dcron_common/py.typed"} <= names
    assert {f"dcron_app/static/api.{kind}" for kind in ("html", "js", "css")} <= names
    assert not any(name.endswith(".pyc") for name in names)


def test_the_starter_goes_by_its_sources_not_as_the_control_machine_has_it(
    wheelhouse: ModuleType,
) -> None:
    names = set(map(str, wheelhouse.sources(ROOT, ["dcron_worker"])))
    assert {f"dcron_worker/runner/starter/{name}" for name in ("starter.c", "starter.h")} <= names
    assert "dcron_worker/runner/dcron-starter" not in names


@pytest.mark.parametrize(
    ("architecture", "compiler", "expected"),
    [
        ("x86_64", "", "cc"),
        ("aarch64", "", "aarch64-linux-gnu-gcc"),
        ("aarch64", "clang --target=aarch64-linux-gnu", "clang --target=aarch64-linux-gnu"),
    ],
)
def test_the_compiler_is_one_for_the_hosts(
    wheelhouse: ModuleType, architecture: str, compiler: str, expected: str
) -> None:
    found = wheelhouse.build_environment(architecture, compiler, "x86_64")
    assert found == {"CC": expected, "_PYTHON_HOST_PLATFORM": f"linux-{architecture}"}
