import shlex

from lab import inventory
from lab.state import Host, Lab

LAB = Lab("t", 3, "/f/.lab/t", "/b", {"ctl1": Host(), "node1": Host()})


def test_every_group_is_there_with_the_hosts_that_the_lab_has() -> None:
    listing = inventory.listing(LAB)
    assert listing["mysql"]["hosts"] == ["ctl1"]
    assert listing["dcron_worker"]["hosts"] == ["ctl1", "node1"]
    assert listing["_meta"]["hostvars"]["node1"]["ansible_host"] == "10.77.3.21"


def test_the_variables_lead_into_the_labs_own_folder_and_network() -> None:
    values = inventory.listing(LAB)["all"]["vars"]
    assert values["dcron_virtual_address"] == "10.77.3.100"
    assert values["dcron_secrets_dir"] == "/f/.lab/t/secrets"
    assert values["ansible_ssh_private_key_file"] == "/f/.lab/t/ssh_key"
    assert "StrictHostKeyChecking=yes" in shlex.split(values["ansible_ssh_args"])


def test_the_path_of_a_shared_connection_fits_a_unix_socket() -> None:
    lab = Lab("a" * 9, 254, "/a/very/long/way/to/a/checkout/" + "x" * 200, "/b", {"ctl1": Host()})
    words = shlex.split(inventory.listing(lab)["all"]["vars"]["ansible_ssh_args"])
    path = next(word for word in words if word.startswith("ControlPath=")).partition("=")[2]
    # ssh adds a dot and 16 random letters while it makes the socket.
    assert len(path.replace("%h", "10.77.254.11")) + 17 <= 107
