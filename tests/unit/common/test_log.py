"""What reaches the log."""

from __future__ import annotations

import subprocess
import sys

_WRITES = """
import logging
from pathlib import Path
from dcron_common import log
from dcron_common.db import migrations, users
from dcron_common.db.connection import Database

log.configure("DEBUG")
logging.getLogger("dcron_common").debug("something else")
database = Database.sqlite(Path("dcron.db"))
migrations.migrate(database)
users.add_user(database, "ann", users.Role.VIEWER, [], [], 0, "test", password="planted-hash")
"""


_HOLDS = """
import logging, os
from dcron_common import log

log.configure()
say = logging.getLogger("dcron").info
say("before")
try:
    with log.together():
        say("one\\nline")
        with log.together():
            say("two")
        os.write(2, b"meanwhile\\n")
        raise RuntimeError
except RuntimeError:
    say("after")
"""


def test_what_is_logged_together_is_written_at_the_end_even_after_an_error() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _HOLDS], capture_output=True, text=True, check=True
    )
    lines = [line.rpartition("dcron: ")[2] for line in done.stderr.splitlines()]
    assert lines == ["before", "meanwhile", "one\\nline", "two", "after"]


_FULL = """
import logging, os
from dcron_common import log

os.dup2(os.open("/dev/full", os.O_WRONLY), 2)
log.configure()
for number in range(2):
    with log.together():
        logging.getLogger("dcron").info("nobody reads this")
print("went on")
"""


def test_a_log_that_cannot_be_written_hinders_nobody() -> None:
    done = subprocess.run([sys.executable, "-c", _FULL], capture_output=True, text=True)
    assert done.stdout == "went on\n"


def test_not_even_at_debug_are_values_of_statements_logged(tmp_path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WRITES], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "something else" in done.stderr
    assert "planted-hash" not in done.stdout + done.stderr
