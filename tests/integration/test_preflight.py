"""What playbooks/preflight.yml refuses before any host is changed, by the name of what to set."""

from typing import Any

import pytest

from tests.integration.playbooks import Inventory

BUCKET = {"s3_bucket": "of-ours"}
KEYS = {"vault_dcron_s3_access_key": "AKIAXR3QW7Z2M5TN8PLC"}
NO_ADDRESS = {"dcron_virtual_address": ""}
BALANCER = {"s3_store_address": "dcron.example.org"}


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Inventory:
    return Inventory("example", tmp_path_factory.mktemp("example"))


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Inventory:
    return Inventory("single", tmp_path_factory.mktemp("single"))


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"vault_dcron_mysql_app": ""}, "dcron_secret_mysql_app"),
        ({"vault_dcron_keepalived": "short"}, "dcron_secret_keepalived"),
        ({"vault_dcron_s3_secret_key": ""}, "dcron_secret_s3_secret_key"),
        (BUCKET, "s3_access_key, s3_worker_access_key missing"),
        ({"s3_endpoint": "https://s3.example.org", **KEYS}, "s3_bucket missing"),
        ({"s3_endpoint": "http://s3.example.org", **BUCKET, **KEYS}, "s3_endpoint is http:"),
        ({"s3_directory": "/srv/objects"}, "s3_directory is /srv/objects"),
        (NO_ADDRESS, "Set s3_store_address"),
        ({"dcron_secrets_dir": "secrets"}, "dcron_secrets_dir must be an absolute path"),
    ],
)
def test_what_is_missing_is_named(example: Inventory, values: dict[str, Any], named: str) -> None:
    assert named in example.preflight("ctl1", **values)


@pytest.mark.parametrize(
    "values",
    [
        {**NO_ADDRESS, **BALANCER, "vault_dcron_keepalived": ""},
        {**NO_ADDRESS, **BUCKET, **KEYS},
        {**BUCKET, **KEYS, "s3_endpoint": "https://s3.example.org:9000"},
    ],
)
def test_what_is_not_needed_is_not_asked_for(example: Inventory, values: dict[str, Any]) -> None:
    assert example.preflight("ctl1", **values) == ""
    assert not example.secrets.exists(), "preflight changes nothing"


def test_a_single_host_without_a_directory_needs_a_service(single: Inventory) -> None:
    unused = {"vault_dcron_keepalived": "", "vault_dcron_s3_secret_key": ""}
    assert single.preflight("dcron1", **unused) == ""
    assert "s3_bucket" in single.preflight("dcron1", s3_directory="")
