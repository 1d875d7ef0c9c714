"""Every operation keeps to its description, later ones too: drawn by chance."""

from tests.contract.described import Run, operations
from tests.unit.app.api_client import Api


def test_every_operation_does_as_it_is_described_by_chance(described_api: Api) -> None:
    run = Run(described_api, "fuzzing")
    assert run.failures == [], "\n" + "\n".join(run.failures)
    asked = {label for label, _ in run.answered}
    assert asked == operations(described_api)
    assert len(run.fine()) > len(asked) / 2, sorted(asked - run.fine())
