"""The lab itself, on real hosts: two are booted, killed, cut and frozen, and nothing is left."""

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
NAME = "labtest"

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: the lab boots real hosts"),
    pytest.mark.skipif(
        shutil.which("systemd-nspawn") is None and shutil.which("apt-get") is None,
        reason="needs systemd-nspawn, which only apt-get could install",
    ),
]

# From a host: who answers on the ssh port of the other, within a second?
PROBE = """
import socket, sys
try:
    connection = socket.create_connection((sys.argv[1], 22), timeout=1)
    connection.settimeout(1)
    print(connection.recv(4).decode())
except OSError as error:
    print("no answer", error)
"""


def lab(*words: str, expect: int = 0, name: str = NAME) -> str:
    """Run bin/lab on the test's own lab; return what it answered."""
    done = subprocess.run(
        [str(CHECKOUT / "bin" / "lab"), *words],
        env={**os.environ, "LAB": name},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout if expect == 0 else done.stderr


def hosts() -> dict[str, dict[str, object]]:
    """The hosts as `status` shows them."""
    found: dict[str, dict[str, object]] = json.loads(lab("status", "--json"))["hosts"]
    return found


def on(host: str, line: str) -> str:
    """Run a shell line on a host; return its output."""
    return lab("exec", host, line).strip()


def sees(a: str, b: str) -> bool:
    """Whether `a` gets an answer from `b`."""
    return on(a, f"python3 -c {shlex.quote(PROBE)} {b}") == "SSH-"


def reaches(address: str) -> bool:
    """Whether this machine gets an answer from the ssh port of an address."""
    done = subprocess.run(
        ["python3", "-c", PROBE, address], capture_output=True, text=True, check=True
    )
    return done.stdout.strip() == "SSH-"


def traces() -> dict[str, list[str]]:
    """Everything on this machine that carries the name of the test's lab."""

    def output(*command: str) -> list[str]:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return [line for line in done.stdout.splitlines() if NAME in line]

    folders = ["/run", "/run/lock", "/run/dcron-lab", "/var/lib", "/var/lib/dcron-lab"]
    folders += ["/run/systemd/nspawn/propagate", "/run/systemd/nspawn/unix-export"]
    files = [str(file) for folder in folders for file in Path(folder).glob(f"*{NAME}*")]
    groups = [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/*{NAME}*")]
    mounts = [line for line in Path("/proc/self/mounts").read_text().splitlines() if NAME in line]
    folder = CHECKOUT / ".lab" / NAME
    return {
        "processes": [line for line in output("ps", "-eo", "args") if "pytest" not in line],
        "mounts": mounts,
        "links": output("ip", "-o", "link"),
        "tables": output("nft", "list", "tables"),
        "cgroups": groups,
        "files": [*files, *([str(folder)] if folder.exists() else [])],
    }


def ip_forward() -> str:
    return Path("/proc/sys/net/ipv4/ip_forward").read_text().strip()


def labs() -> set[str]:
    """The other labs that are up: as long as there are any, packets are forwarded."""
    return {path.parent.name for path in Path("/run/dcron-lab").glob("*/state.json")} - {NAME}


@pytest.fixture(scope="module", autouse=True)
def two_hosts() -> Iterator[None]:
    lab("down")
    lab("up", "--hosts", "ctl1,node1")
    yield
    lab("down")


def test_hosts_boot_with_their_own_systemd_name_and_address() -> None:
    assert on("ctl1", "hostname") == "ctl1"
    assert on("ctl1", "systemctl is-system-running") == "running"
    ids = {on(host, "cat /etc/machine-id") for host in hosts()}
    assert len(ids) == 2
    assert sees("ctl1", "node1")
    assert sees("node1", "ctl1")


def test_nothing_of_the_cluster_runs_before_a_role_starts_it() -> None:
    listed = on("ctl1", "systemctl list-units --type=service --state=running --plain --no-legend")
    running = {line.split()[0] for line in listed.splitlines()}
    assert "ssh.service" in running
    assert "cron.service" in running
    cluster = ("mariadb", "memcached", "haproxy", "keepalived", "chrony", "swift", "zookeeper")
    assert [unit for unit in running if unit.startswith(cluster)] == []


def test_exec_passes_words_as_they_are_and_the_exit_code_back() -> None:
    assert lab("exec", "ctl1", "printf", "%s|", "a b", "$HOME", "'") == "a b|$HOME|'|"
    lab("exec", "ctl1", "exit 7", expect=7)


def test_memory_process_and_cpu_limits_work_inside() -> None:
    limited = "systemd-run --quiet --wait --pipe --property="
    eat = f"{limited}MemoryMax=20M python3 -c 'bytearray(100 * 2**20)' || echo killed"
    assert on("ctl1", eat) == "killed"
    fork = f"{limited}TasksMax=2 sh -c 'sleep 1 & sleep 1 & sleep 1 & wait' 2>&1 || echo refused"
    assert on("ctl1", fork).endswith("refused")
    spin = (
        "python3 -c 'import time\nwhile time.process_time() < 0.2: pass\nprint(time.monotonic())'"
    )
    began = "python3 -c 'import time; print(time.monotonic())'"
    times = on("ctl1", f"{began}; {limited}CPUQuota=20% {spin}").splitlines()
    assert float(times[1]) - float(times[0]) > 0.6


def test_a_power_cut_host_is_gone_at_once_and_comes_back_with_its_disk() -> None:
    on("node1", "echo kept >/root/kept && sync")
    old = on("node1", "cat /proc/sys/kernel/random/boot_id")
    lab("kill", "node1")
    assert hosts()["node1"] == {
        "address": hosts()["node1"]["address"],
        "state": "stopped",
        "pid": None,
        "memory_bytes": None,
    }
    assert not sees("ctl1", "node1")
    assert "bin/lab start node1" in lab("exec", "node1", "true", expect=1)
    lab("start", "node1")
    assert on("node1", "cat /root/kept") == "kept"
    assert on("node1", "cat /proc/sys/kernel/random/boot_id") != old
    assert sees("ctl1", "node1")


def test_a_clean_stop_lets_services_say_goodbye() -> None:
    unit = "systemd-run --quiet --unit=goodbye --property=ExecStop='/usr/bin/touch /root/goodbye'"
    on("node1", f"{unit} sleep 1000")
    lab("stop", "node1")
    lab("start", "node1")
    on("node1", "test -e /root/goodbye")


def test_up_boots_what_is_missing_and_leaves_alone_what_runs() -> None:
    lab("kill", "node1")
    before = hosts()
    lab("up")
    after = hosts()
    assert after["ctl1"]["pid"] == before["ctl1"]["pid"]
    assert after["node1"]["state"] == "running"


def test_a_cut_ends_all_traffic_between_hosts_but_not_ssh_and_heals() -> None:
    lab("cut", "ctl1")
    assert not sees("ctl1", "node1")
    assert not sees("node1", "ctl1")
    lab("heal")
    assert sees("node1", "ctl1")


def test_a_cut_off_holder_of_the_virtual_address_is_not_reached_at_it() -> None:
    virtual = json.loads(lab("status", "--json"))["virtual_address"]
    on("ctl1", f"ip address add {virtual}/24 dev host0")
    assert reaches(virtual)
    assert sees("node1", virtual)
    lab("cut", "ctl1")
    assert not reaches(virtual)
    assert not sees("node1", virtual)
    lab("heal")
    assert reaches(virtual)
    on("ctl1", f"ip address del {virtual}/24 dev host0")


def test_a_one_way_cut_loses_only_the_packets_of_one_direction() -> None:
    count = "cat /sys/class/net/host0/statistics/rx_packets"
    send = (
        "python3 -c 'import socket, sys\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        'for _ in range(2000): s.sendto(b"x", (sys.argv[1], 9))\' '
    )
    assert int(on("ctl1", count)) > 0
    lab("cut", "--one-way", "ctl1", "node1")
    before = {host: int(on(host, count)) for host in ("ctl1", "node1")}
    on("node1", f"{send} ctl1")
    on("ctl1", f"{send} node1")
    after = {host: int(on(host, count)) for host in ("ctl1", "node1")}
    lab("heal")
    assert after["ctl1"] - before["ctl1"] > 2000
    assert after["node1"] - before["node1"] < 2000


def test_a_frozen_host_stands_still_until_it_is_thawed() -> None:
    on(
        "node1",
        "systemd-run --quiet --unit=beat sh -c 'while :; do echo >>/root/beat; sleep 0.1; done'",
    )
    lab("freeze", "node1")
    assert hosts()["node1"]["state"] == "frozen"
    beats = Path(f"/var/lib/dcron-lab/{NAME}/node1/root/root/beat")
    size = beats.stat().st_size
    assert not sees("ctl1", "node1")
    assert beats.stat().st_size == size
    lab("thaw", "node1")
    again = f"for i in $(seq 50); do test $(stat -c %s /root/beat) -gt {size} && exit 0"
    on("node1", f"{again}; sleep 0.1; done; exit 1")


def test_unknown_hosts_are_refused_by_name() -> None:
    assert "no host 'ctl3'" in lab("kill", "ctl3", expect=4)
    assert "ctl1 to ctl9" in lab("up", "--hosts", "web1", expect=2)


def test_ansible_reaches_every_host_by_the_inventory() -> None:
    done = subprocess.run(
        [str(CHECKOUT / "inventory" / "lab" / "hosts.py"), "--list"],
        env={**os.environ, "LAB": NAME},
        capture_output=True,
        text=True,
        check=True,
    )
    listing = json.loads(done.stdout)
    values = listing["all"]["vars"]
    for host in ("ctl1", "node1"):
        target = f"root@{listing['_meta']['hostvars'][host]['ansible_host']}"
        key = values["ansible_ssh_private_key_file"]
        command = ["ssh", "-i", key, *shlex.split(values["ansible_ssh_args"]), target, "hostname"]
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
        assert answer.stdout.strip() == host


def test_down_leaves_nothing_behind_frozen_and_killed_hosts_included() -> None:
    assert all(traces().values()), "the traces to look for are there while the lab is up"
    lab("freeze", "node1")
    lab("cut", "ctl1")
    lab("down")
    assert traces() == {kind: [] for kind in traces()}


def test_ip_forward_is_on_for_a_lab_and_put_back_when_the_last_one_goes() -> None:
    others, before = labs(), ip_forward()
    lab("up", "--hosts", "ctl1")
    assert ip_forward() == "1"
    lab("down")
    assert ip_forward() == before
    if not others | labs():
        assert not Path("/run/dcron-lab").exists()


def test_leftovers_of_a_lab_whose_state_is_lost_are_cleaned_away() -> None:
    lab("up", "--hosts", "ctl1")
    pid = hosts()["ctl1"]["pid"]
    Path(f"/run/dcron-lab/{NAME}/state.json").unlink()
    lab("up", "--hosts", "ctl1,node1")
    assert not Path(f"/proc/{pid}").exists()
    assert {host["state"] for host in hosts().values()} == {"running"}
    lab("down")
    assert traces() == {kind: [] for kind in traces()}


def test_an_interrupted_up_is_taken_up_where_it_was_left() -> None:
    command = [str(CHECKOUT / "bin" / "lab"), "up", "--hosts", "ctl1,node1"]
    for seconds in (0.2, 0.5, 0.9):
        process = subprocess.Popen(
            command, env={**os.environ, "LAB": NAME}, stderr=subprocess.DEVNULL
        )
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    lab("up", "--hosts", "ctl1,node1")
    assert sees("ctl1", "node1")
    lab("down")
    assert traces() == {kind: [] for kind in traces()}


def lives(pid: int) -> bool:
    """Whether the process runs; one that only waits to be reaped does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def test_a_lab_of_another_checkout_makes_room(tmp_path: Path) -> None:
    lab("up", "--hosts", "ctl1")
    pid = hosts()["ctl1"]["pid"]
    shutil.copytree(CHECKOUT / "lab", tmp_path / "lab")
    shutil.copytree(CHECKOUT / "bin", tmp_path / "bin")
    subprocess.run(
        [str(tmp_path / "bin" / "lab"), "up", "--hosts", "ctl1"],
        env={**os.environ, "LAB": NAME},
        stdin=subprocess.DEVNULL,
        check=True,
        timeout=300,
    )
    assert not lives(pid)
    assert json.loads(lab("status", "--json"))["folder"] == str(tmp_path / ".lab" / NAME)
    lab("down")
    assert traces() == {kind: [] for kind in traces()}
    assert not (tmp_path / ".lab").exists()
