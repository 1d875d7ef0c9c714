import pytest

from lab import machine
from lab.errors import NotAllowed

DEB822 = """\
Types: deb deb-src
# a comment
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: https://packages.example/node
Suites: nodistro
Components: main

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
"""


def test_debians_suites_are_taken_from_deb822_and_the_others_left_out() -> None:
    assert machine.debian_sources([DEB822]) == (
        "deb http://mirror.example/debian bookworm main contrib\n"
        "deb http://mirror.example/debian bookworm-updates main contrib\n"
    )


def test_one_line_sources_are_read_with_their_options_dropped() -> None:
    text = (
        "# deb http://no.example/debian bookworm main\n"
        "deb [signed-by=/k.gpg arch=amd64] http://a.example/debian bookworm main\n"
        "deb http://a.example/debian bookworm main\n"
        "deb http://apt.postgresql.example/pub bookworm-pgdg main\n"
        "deb-src http://a.example/debian bookworm main\n"
    )
    assert machine.debian_sources([text]) == "deb http://a.example/debian bookworm main\n"


def test_without_any_debian_source_the_public_mirror_stands_in() -> None:
    assert "http://deb.debian.org/debian bookworm main" in machine.debian_sources([""])


def test_only_what_leads_to_the_mirror_is_taken_from_apts_configuration() -> None:
    dump = (
        'APT "";\nAcquire::http::Proxy "http://proxy.example:3128";\n'
        'Acquire::Check-Valid-Until "false";\nAcquire::Languages "none";\n'
        'DPkg::Post-Invoke:: "rm -rf /";\nAcquire::https "";\n'
    )
    assert machine.apt_options(dump) == (
        'Acquire::http::Proxy "http://proxy.example:3128";\nAcquire::Check-Valid-Until "false";\n'
    )


def test_without_root_the_message_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(NotAllowed, match=r"sudo(.|\n)*make demo") as caught:
        machine.need_root()
    assert caught.value.exit_code == 3
