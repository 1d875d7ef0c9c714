"""What a release is built from."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[3]
ROLE = ROOT / "roles" / "dcron_runtime"


def test_a_release_has_every_file_of_its_packages_pages_too(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("wheelhouse", ROLE / "library" / "wheelhouse.py")
    assert spec is not None and spec.loader is not None
    wheelhouse = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(wheelhouse)
    found = wheelhouse.sources(ROOT, ["dcron_app", "dcron_common"])
    names = set(map(str, found))
    assert {"setup.py", "dcron_app/main.py", "dcron_common/py.typed"} <= names
    assert {f"dcron_app/static/api.{kind}" for kind in ("html", "js", "css")} <= names
    assert not any(name.endswith(".pyc") for name in names)
