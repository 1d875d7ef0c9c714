"""The API keeps to its own description: operations that follow each other."""

from pathlib import Path

from tests.in_process.described import Run


def test_operations_one_after_the_other_do_as_they_are_described(tmp_path: Path) -> None:
    run = Run(tmp_path, "stateful")
    assert run.failures == [], "\n" + "\n".join(run.failures)
    assert "GET /jobs" in run.fine()
    assert [label for label in run.fine() if not label.startswith("GET ")], "nothing was changed"
