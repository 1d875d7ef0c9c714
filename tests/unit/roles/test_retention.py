"""What the role says of retention where nobody says anything."""

from __future__ import annotations

from pathlib import Path

import yaml

from dcron_common.settings import RetentionConfig

DEFAULTS = Path(__file__).parents[3] / "roles/dcron_app/defaults/main.yml"


def test_the_roles_retention_is_that_of_a_silent_configuration() -> None:
    said = yaml.safe_load(DEFAULTS.read_text())
    kept = RetentionConfig()
    for name in ("run_days", "runs_per_job", "removed_job_days"):
        assert said[f"dcron_app_retention_{name}"] == getattr(kept, name)


def test_a_job_of_every_minute_keeps_the_day_that_its_ledger_shows() -> None:
    assert (RetentionConfig().runs_per_job or 0) >= 2 * 1440  # each with a retry
