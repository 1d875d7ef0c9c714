"""Every operation keeps to its description, later ones too: drawn at the bounds of the schema."""

from tests.contract.described import Run, operations
from tests.unit.app.api_client import Api


def test_every_operation_does_as_it_is_described(described_api: Api) -> None:
    run = Run(described_api, "examples", "coverage")
    assert run.failures == [], "\n" + "\n".join(run.failures)
    asked = {label for label, _ in run.answered}
    assert asked == operations(described_api)
    assert len(run.fine()) > len(asked) / 2, sorted(asked - run.fine())
