"""The crontab's text as a function of the jobs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from dcron_common.errors import ConfigError
from dcron_common.schedule import parse
from dcron_worker.crontab import (
    MAX_LINES,
    Line,
    Table,
    is_intact,
    job_ids,
    marker,
    plan,
    render,
    render_empty,
    render_user,
    schedule_lines,
)
from dcron_worker.crontab_check import check

FIFO = "/run/dcron/fire"
COMMAND = f"F={FIFO}; [ -p $F ] && [ ! $F -nt $F.seen ] && echo tick 1<>$F"
ON_THE_MINUTE = r"; exec sleep $((160019999999-1$(date +\%S\%N)))e-9"


def one(*jobs: tuple[int, str, str], zone: str = "UTC") -> str:
    table = plan([(number, parse(text, where)) for number, text, where in jobs], zone)
    (text,) = render(table, fifo=FIFO).values()
    return text


def test_the_tick_always_stands() -> None:
    assert one().endswith(f"\n* * * * * root {COMMAND}{ON_THE_MINUTE}\n")


def test_only_the_ticks_shell_starts_further_processes() -> None:
    text = one((1, "7 3 * * *", "UTC"), (2, "* * * * *", "UTC"))
    tick, other = (command for _, command in schedule_lines(text))
    assert tick.endswith(ON_THE_MINUTE)
    assert "exec" not in other
    assert "$(" not in other
    (line,) = render_user(plan([], "UTC"), fifo=FIFO)
    assert "sleep" not in line


@pytest.mark.parametrize(
    ("seconds_and_nanoseconds", "pause"),
    [
        ("00000000000", "60019999999e-9"),
        ("01087654321", "58932345678e-9"),
        ("59499999999", "520000000e-9"),
    ],
)
def test_the_ticks_shell_ends_just_after_the_next_minute_has_begun(
    tmp_path: Path, seconds_and_nanoseconds: str, pause: str
) -> None:
    for name, does in (("date", f"echo {seconds_and_nanoseconds}"), ("sleep", "echo $1")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    line = "true" + ON_THE_MINUTE.replace(r"\%", "%")  # as crond hands it to the shell
    shell = ["/bin/sh", "-c", line]
    done = subprocess.run(
        shell, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{pause}\n"
    with pytest.raises(subprocess.TimeoutExpired):  # it is a number to it
        subprocess.run(["/bin/sleep", pause], timeout=0.2)


def test_jobs_of_one_meaning_share_one_line() -> None:
    text = one((1, "7,8 3 * * *", "UTC"), (2, "7-8 3 * * *", "UTC"), (3, "@daily", "UTC"))
    fields = [fields for fields, _ in schedule_lines(text)]
    assert fields == ["* * * * *", "0 0 * * *", "7,8 3 * * *"]
    assert "# dcron job 1, dcron job 2\n7,8 3 " in text


def test_a_thousand_jobs_of_every_minute_are_the_tick_line() -> None:
    text = one(*((number, "* * * * *", "UTC") for number in range(1000)))
    assert len(list(schedule_lines(text))) == 1
    assert "dcron job 0," in text
    assert "dcron job 999\n" in text


def test_each_job_is_found_in_a_comment_before_its_line() -> None:
    text = one((12, "7 3 * * *", "UTC"), (40, "7 3 * * *", "UTC"))
    comment, line = text.splitlines()[-2:]
    assert comment == "# dcron job 12, dcron job 40"
    assert line.startswith(f"7 3 * * * root F={FIFO}; [ -p ")


@pytest.mark.parametrize(
    ("expression", "zone"), [("7 3 * * *", "Asia/Tokyo"), ("@at 2030-01-01T00:00:00Z", "UTC")]
)
def test_other_zones_and_one_shots_are_served_by_the_tick(expression: str, zone: str) -> None:
    text = one((12, expression, zone))
    assert [fields for fields, _ in schedule_lines(text)] == ["* * * * *"]
    assert "# dcron job 12\n* * * * * root" in text


def test_names_of_utc_are_one_zone() -> None:
    assert len(list(schedule_lines(one((1, "7 3 * * *", "UTC"), zone="Etc/UTC")))) == 2


def test_an_unknown_host_zone_leaves_all_to_the_tick() -> None:
    assert len(list(schedule_lines(one((1, "7 3 * * *", "UTC"), zone="")))) == 1


def test_the_order_of_jobs_does_not_matter() -> None:
    jobs = [(number, f"{number % 60} * * * *", "UTC") for number in range(200)]
    assert one(*jobs) == one(*reversed(jobs))


def test_many_lines_go_into_several_files() -> None:
    jobs = [(n, parse(f"{n % 60} {n // 60 % 24} {n // 1440 + 1} * *")) for n in range(6000)]
    files = render(plan(jobs, "UTC"), fifo=FIFO)
    assert list(files) == ["dcron", "dcron-2"]
    assert all(text.count("\n") <= MAX_LINES + 10 for text in files.values())
    assert sum(len(list(schedule_lines(text))) for text in files.values()) == 6001
    assert all(is_intact(text) for text in files.values())


def test_an_edit_shows_by_the_sum() -> None:
    text = one((1, "7 3 * * *", "UTC"))
    assert is_intact(text)
    assert is_intact(render_empty())
    for edited in (text + "\n", text.replace("7 3", "8 3"), text.replace("Made", "made"), ""):
        assert not is_intact(edited)


@pytest.mark.parametrize(
    "fifo",
    ["", "fire", "/run/a b", "/run/%", "/run/$(id)", "/run/`id`", "/run/'", '/run/"', "/run/a;b",
     "/run/a\nb", "/run/a&b", "/run/a|b", "/run/a\\b", "/run/ä", "/run/*", "/run/#"],
)  # fmt: skip
def test_a_hostile_fifo_path_is_refused(fifo: str) -> None:
    with pytest.raises(ConfigError, match="FIFO"):
        render(Table((Line("* * * * *", "tick", ()),)), fifo=fifo)
    with pytest.raises(ConfigError, match="FIFO"):
        render_user(Table(()), fifo=fifo)


@pytest.mark.parametrize("user", ["", "a b", "root;id", "root\n", "-root", "Root"])
def test_a_hostile_user_is_refused(user: str) -> None:
    with pytest.raises(ConfigError, match="OS user"):
        render(Table(()), fifo=FIFO, user=user)


@pytest.mark.parametrize(
    "fields", ["", "* * * *", "* * * * * *", "@reboot", "* * * * *\n* * * * * root id",
               "* * * * mon", "A=b", "* * * * %", "# * * * *", "*  * * * *"],
)  # fmt: skip
def test_fields_that_are_no_schedule_are_never_written(fields: str) -> None:
    with pytest.raises(ValueError, match="no schedule"):
        render(Table((Line(fields, "key", (1,)),)), fifo=FIFO)


def test_the_jobs_of_a_crontab_are_read_from_its_text() -> None:
    ids = frozenset(range(1, 121))
    table = plan([(n, parse(f"{n % 3} 4 * * *")) for n in ids], "UTC")
    assert job_ids("".join(render(table, fifo=FIFO).values())) == ids
    assert job_ids(render_empty()) == frozenset()


def test_python_crontab_reads_what_was_meant() -> None:
    check(one(*((n, f"{n % 60} {n % 24} * * 1-5", "UTC") for n in range(300))), "root")


def test_a_user_line_carries_its_instance() -> None:
    lines = render_user(plan([(5, parse("7 3 * * *"))], "UTC"), fifo=FIFO)
    assert all(line.endswith(marker(FIFO)) for line in lines)
    assert marker(FIFO) != marker("/run/other")


def hint(fifo: Path, line: str, seconds: float = 60) -> None:
    command = line.split(" ", 6)[6] if " root " in line else line.split(" ", 5)[5]
    command = command.replace(r"\%", "%")  # as crond does
    # Until the next minute: no test waits for it.
    (fifo.parent / "sleep").write_text(f"#!/bin/sh\necho $1 >>{fifo.parent}/slept\n")
    (fifo.parent / "sleep").chmod(0o755)
    path = {"PATH": f"{fifo.parent}:/usr/bin:/bin"}
    subprocess.run(["/bin/sh", "-c", command], env=path, check=False, timeout=seconds)


@pytest.mark.parametrize("form", ["system", "user"])
def test_a_line_hints_into_the_fifo_and_never_waits(tmp_path: Path, form: str) -> None:
    fifo = tmp_path / "fire"
    table = plan([], "UTC")
    if form == "system":
        (_, rest) = next(iter(schedule_lines(render(table, fifo=str(fifo))["dcron"])))
        line = f"* * * * * {rest}"
    else:
        (line,) = render_user(table, fifo=str(fifo))
    hint(fifo, line)
    assert not fifo.exists()  # no FIFO: no plain file in its place
    os.mkfifo(fifo)
    hint(fifo, line)  # nobody reads: it ends all the same
    reader = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
    hint(fifo, line)
    assert os.read(reader, 100) == b"tick\n"
    os.close(reader)
    slept = (tmp_path / "slept").read_text().split() if form == "system" else []
    assert len(slept) == (3 if form == "system" else 0)
    assert all(0 < float(pause) <= 60.02 for pause in slept)
