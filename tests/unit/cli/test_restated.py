"""What the command line says again, since it does not import the server: the two must agree."""

import pytest

from dcron_app.api.fields import JobFields
from dcron_cli.commands.run import STATES, TRIGGERS
from dcron_cli.jobfields import WRITABLE
from dcron_cli.jobfile import DEFAULTS
from dcron_common.run import RunState, Trigger
from tests.unit.app.api_client import COMMAND, Api

# Decided by the cluster or by who asks: always written by `dcron export`.
DECIDED = {"executable", "type", "schedule", "name", "owner", "timezone", "run_as"}


def test_every_field_of_a_job_can_be_written() -> None:
    assert set(WRITABLE) == set(JobFields.model_fields)


def test_a_field_has_the_default_that_the_api_fills_in(api: Api) -> None:
    made = api.post("/jobs", COMMAND).json
    assert set(DEFAULTS) == set(WRITABLE) - DECIDED
    assert {name: made[name] for name in DEFAULTS} == DEFAULTS


@pytest.mark.parametrize(("told", "known"), [(STATES, RunState), (TRIGGERS, Trigger)])
def test_runs_can_be_asked_for_by_whatever_the_record_has(
    told: tuple[str, ...], known: type[RunState] | type[Trigger]
) -> None:
    assert set(told) == {one.value for one in known}
