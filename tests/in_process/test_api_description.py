"""Every operation keeps to its description, later ones too: drawn at the bounds of the schema."""

from pathlib import Path

from tests.in_process.described import Run


def test_every_operation_does_as_it_is_described(tmp_path: Path) -> None:
    run = Run(tmp_path, "examples", "coverage")
    assert run.failures == [], "\n" + "\n".join(run.failures)
    asked = {label for label, _ in run.answered}
    assert asked == run.described
    assert len(run.fine()) > len(asked) / 2, sorted(asked - run.fine())
