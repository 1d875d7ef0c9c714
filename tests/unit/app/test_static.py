"""The page that shows the API, and what it may do in a browser."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from dcron_app.api.static import FILES, POLICY
from tests.unit.app.api_client import Api

CHECKOUT = Path(__file__).parents[3]
FOLDER = CHECKOUT / "dcron_app" / "static"
# What makes markup or code of a text.
SINKS = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|Function\(|setAttribute"


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_shown_to_anybody_with_its_own_policy(api: Api, name: str) -> None:
    answer = api.get(f"/static/{name}", user=None)
    assert (answer.status, answer.body) == (200, (FOLDER / name).read_bytes())
    assert answer.headers["Content-Type"] == FILES[name]
    assert answer.headers.get_all("Content-Security-Policy") == [POLICY]
    assert answer.headers.get_all("Cache-Control") == ["public, no-cache"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_who_has_a_file_is_told_so(api: Api) -> None:
    etag = api.get("/static/api.js", user=None).headers["ETag"]
    again = api.get("/static/api.js", user=None, headers={"HTTP_IF_NONE_MATCH": f'"x", {etag}'})
    assert (again.status, again.body, again.headers["ETag"]) == (304, b"", etag)
    other = api.get("/static/api.js", user=None, headers={"HTTP_IF_NONE_MATCH": '"x"'})
    assert other.status == 200


@pytest.mark.parametrize("name", ["other.html", "app.js", "a.css"])
def test_a_file_that_is_not_ours_is_404(api: Api, name: str) -> None:
    assert api.get(f"/static/{name}", user=None).status == 404


@pytest.mark.parametrize(
    "path",
    ["..%2Fapi.html", "../api/static.py", "%2e%2e%2fpy.typed", "api.html%00", "api.html%0A",
     "/etc/passwd", "API.html", "", "api.html/", "api.html%2F..%2Fapi.js"],
)  # fmt: skip
def test_a_path_that_climbs_is_not_even_public(api: Api, path: str) -> None:
    assert api.get(f"/static/{path}", user=None).status == 401
    assert api.get(f"/static/{path}").status == 404


def test_the_page_makes_no_markup_and_loads_nothing_from_elsewhere() -> None:
    texts = {name: (FOLDER / name).read_text() for name in FILES}
    assert re.findall(SINKS, texts["api.js"]) == []
    assert "textContent" in texts["api.js"]
    for name, text in texts.items():
        assert "://" not in text, name
        assert "localStorage" not in text
    assert re.findall(r"\bon\w+=|style=|<script>", texts["api.html"]) == []


def test_a_wheel_has_the_page(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("setup.py", "pyproject.toml"):
        shutil.copy(CHECKOUT / name, source)
    for name in ("dcron_common", "dcron_app", "dcron_worker", "dcron_cli"):
        shutil.copytree(
            CHECKOUT / name, source / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--wheel-dir", str(tmp_path), "."]
    subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {f"dcron_app/static/{name}" for name in FILES} <= set(names)
