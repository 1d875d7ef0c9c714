"""The inventories that people copy: their groups, what preflight says, what the hosts get."""

from pathlib import Path

import pytest

from dcron_common.config import load_app, load_worker
from dcron_common.sealing.ring import Ring
from tests.integration.playbooks import Inventory

CONTROL = ["ctl1", "ctl2", "ctl3"]
APP, WORKER = "dcron_app/app.toml.j2", "dcron_worker/worker.toml.j2"
KEYS = "dcron_app/secrets.keys.j2"
EVERY_GROUP = {"mysql", "zookeeper", "haproxy", "ntp", "s3_store", "dcron_app", "dcron_worker"}


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Inventory:
    return Inventory("example", tmp_path_factory.mktemp("example"))


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Inventory:
    return Inventory("single", tmp_path_factory.mktemp("single"))


def test_the_example_has_three_control_hosts_and_a_worker_on_every_host(example: Inventory) -> None:
    listing = example.listing()
    for group in EVERY_GROUP - {"dcron_worker"}:
        assert listing[group]["children"] == ["control"], group
    assert listing["control"]["hosts"] == CONTROL
    assert listing["dcron_worker"]["children"] == ["control"]
    assert listing["dcron_worker"]["hosts"] == ["node1", "node2"]
    addresses = {host: one["ansible_host"] for host, one in listing["_meta"]["hostvars"].items()}
    assert len(set(addresses.values())) == 5


def test_a_single_host_is_everything_but_a_store(single: Inventory) -> None:
    listing = single.listing()
    for group in EVERY_GROUP - {"s3_store"}:
        assert listing[group]["hosts"] == ["dcron1"], group
    assert "s3_store" not in listing


def test_with_the_secrets_made_both_pass_preflight_as_they_are(
    example: Inventory, single: Inventory
) -> None:
    assert example.preflight("ctl1,node1") == ""
    assert single.preflight("dcron1") == ""


def test_every_control_host_gets_the_same_random_key_of_secrets(example: Inventory) -> None:
    files = example.render_all([KEYS, APP], *CONTROL)
    rings = [Ring.read(files[host, KEYS]) for host in CONTROL]
    named = {load_app(files[host, APP]).secrets.keys_file for host in CONTROL}
    assert named == {Path("/etc/dcron/app/secrets.keys")}
    stored = rings[0].encrypt("KEY", "value")
    assert {ring.decrypt("KEY", stored) for ring in rings} == {"value"}
    assert all(ring.is_current(stored) for ring in rings)


def test_keys_of_secrets_are_rotated_by_a_list(example: Inventory) -> None:
    keys = ["0123456789abcdef" * 4, "9a3b5c7d" * 8]
    before = Ring.read(example.render(KEYS, "ctl1", dcron_secret_keys=keys))
    after = Ring.read(example.render(KEYS, "ctl1", dcron_secret_keys=keys[::-1]))
    stored = after.encrypt("KEY", "value")
    assert before.decrypt("KEY", stored) == "value" and not before.is_current(stored)


def test_the_single_hosts_files_are_in_a_directory(single: Inventory) -> None:
    files = single.render_all([APP, WORKER], "dcron1")
    app, worker = load_app(files["dcron1", APP]), load_worker(files["dcron1", WORKER])
    assert app.object_store == worker.object_store
    assert app.object_store.kind == "directory"
    assert app.object_store.path == Path("/var/lib/dcron-objects")
    assert app.database.hosts == worker.database.hosts == ("192.0.2.11:3307",)
    assert app.database.password != worker.database.password
    assert worker.worker.name == "dcron1"


def test_the_examples_hosts_reach_everything_at_the_virtual_address(example: Inventory) -> None:
    files = example.render_all([APP, WORKER], "ctl1", "node1")
    app, worker = load_app(files["ctl1", APP]), load_worker(files["node1", WORKER])
    assert app.database.hosts == worker.database.hosts == ("192.0.2.100:3307",)
    assert app.zookeeper.hosts == worker.zookeeper.hosts == tuple(f"{h}:2281" for h in CONTROL)
    for store, key in ((app.object_store, "dcron:app"), (worker.object_store, "dcron:worker")):
        assert (store.kind, store.endpoint) == ("s3", "https://192.0.2.100:8080")
        assert (store.bucket, store.access_key) == ("dcron", key)
    assert app.object_store.secret_key != worker.object_store.secret_key


def test_without_a_virtual_address_no_host_depends_on_one_load_balancer(example: Inventory) -> None:
    app = load_app(
        example.render(
            APP,
            "ctl2",
            dcron_virtual_address="",
            s3_store_address="dcron.example.org",
        )
    )
    assert app.database.hosts == tuple(f"{host}:3307" for host in CONTROL)
    assert app.object_store.endpoint == "https://dcron.example.org:8080"


def test_with_a_bucket_of_aws_its_keys_are_those_of_the_inventory(example: Inventory) -> None:
    worker = load_worker(
        example.render(
            WORKER,
            "node1",
            s3_bucket="of-ours",
            s3_region="eu-north-1",
            vault_dcron_s3_access_key="AKIAXR3QW7Z2M5TN8PLC",
            vault_dcron_s3_secret_key="h4Jq0ZtYv7Lw2Xk9Rm5Bp8Nc3Fd6Gs1A",
        )
    )
    store = worker.object_store
    assert (store.endpoint, store.bucket, store.region) == (None, "of-ours", "eu-north-1")
    assert store.access_key == "AKIAXR3QW7Z2M5TN8PLC"
    assert store.secret_key == "h4Jq0ZtYv7Lw2Xk9Rm5Bp8Nc3Fd6Gs1A"
