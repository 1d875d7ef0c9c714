"""What the roles tell the API and HAProxy: one upload limit, and bounds that fit together."""

from __future__ import annotations

from pathlib import Path

import pytest

from dcron_common.config import load_app
from tests.integration.rendered import ROLES, render

TEMPLATES = ROLES / "dcron_app" / "templates"
MIB = 1024 * 1024


def limits(folder: Path, **variables: object) -> tuple[int, int, int]:
    """Of the API, of HAProxy for an executable, of HAProxy for a body."""
    probe = folder / "probe.j2"
    probe.write_text("{{ haproxy_max_executable_bytes }} {{ haproxy_max_body_bytes }}")
    app, haproxy = render(folder, [TEMPLATES / "app.toml.j2", probe], **variables)
    (folder / "app.toml").write_text(app)
    executable, body = map(int, haproxy.split())
    return load_app(folder / "app.toml").api.max_executable_bytes, executable, body


@pytest.mark.parametrize(("given", "limit"), [({}, 64), ({"dcron_max_executable_bytes": MIB}, 1)])
def test_one_variable_sets_the_limit_of_the_api_and_of_haproxy(
    tmp_path: Path, given: dict[str, object], limit: int
) -> None:
    api, executable, body = limits(tmp_path, **given)
    assert (api, executable) == (limit * MIB, limit * MIB)
    assert body == (limit * MIB + 2) // 3 * 4 + MIB


def test_the_memory_has_room_for_the_large_bodies_that_are_let_in(tmp_path: Path) -> None:
    unit = TEMPLATES / "dcron-api.service.j2"
    (default,) = render(tmp_path, [unit])
    assert "MemoryMax=1536M\n" in default  # 2 processes, each 256 MiB and 2 bodies of 4 * 64 MiB
    (small,) = render(tmp_path, [unit], dcron_app_threads=2, dcron_max_executable_bytes=MIB)
    assert "MemoryMax=520M\n" in small


def test_the_port_is_for_the_load_balancers(tmp_path: Path) -> None:
    (rules,) = render(tmp_path, [TEMPLATES / "firewall.nft.j2"])
    assert "tcp dport 30000 ip saddr { 192.0.2.12 } accept\n" in rules
    assert rules.index("accept") < rules.index("tcp dport 30000 drop\n")


def test_without_load_balancers_the_port_is_for_the_host_itself(tmp_path: Path) -> None:
    (rules,) = render(tmp_path, [TEMPLATES / "firewall.nft.j2"], dcron_app_firewall_sources=[])
    assert "saddr" not in rules
    assert "tcp dport 30000 drop\n" in rules
