"""The API keeps to its own description: operations that follow each other."""

from tests.contract.described import Run
from tests.unit.app.api_client import Api


def test_operations_one_after_the_other_do_as_they_are_described(described_api: Api) -> None:
    run = Run(described_api, "stateful")
    assert run.failures == [], "\n" + "\n".join(run.failures)
    assert "GET /jobs" in run.fine()
    assert [label for label in run.fine() if not label.startswith("GET ")], "nothing was changed"
