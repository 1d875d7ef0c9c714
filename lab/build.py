"""Bringing a lab up, or to what it should be: hosts that run are left alone."""

from pathlib import Path

from lab import cgroup, disk, golden, host, machine, names, network, partition, ssh, state, teardown
from lab.errors import LabError
from lab.shell import say, step


def up(name: str, wanted: str | None, bare: bool) -> None:
    """Bring up the lab `name` with the hosts in `wanted` ("ctl1,node1"), or those that it has."""
    hosts = names.parse_hosts(wanted) if wanted else []
    machine.install_packages()
    golden.clean()
    lab = _existing(name)
    kind = "bare" if bare else "golden"
    if lab is None:
        base = golden.ensure(kind)
        lab = _new(name, base, hosts or list(names.DEFAULT_HOSTS))
    elif bare and Path(lab.base) != golden.path("bare"):
        raise LabError(f"lab {name} is up, on another base: LAB={name} bin/lab down, then again")
    for each in hosts:
        lab.hosts.setdefault(each, state.Host())
    state.save(lab)
    with step(f"network {names.subnet(lab.index)}"):
        network.ensure(lab)
        partition.apply(lab)
        ssh.ensure_key(lab)
    missing = [each for each in sorted(lab.hosts) if not host.is_up(lab.hosts[each])]
    if missing:
        with step(f"boot {' '.join(missing)}"):
            boot_all(lab, missing)
    for each in sorted(set(lab.hosts) - set(missing)):
        disk.introduce(lab, each)
        if not cgroup.is_frozen(name, each):
            ssh.connect(lab, each)
    say(f"          lab {name} is up: {' '.join(sorted(lab.hosts))}")


def _existing(name: str) -> state.Lab | None:
    """The lab as it is; what was left by an interrupted or another checkout's lab is removed."""
    lab = state.load(name)
    own = str(names.own_folder(name))
    if lab is not None and lab.folder == own and Path(lab.base).is_dir():
        return lab
    if teardown.leftovers(name):
        whose = f" of {Path(lab.folder).parent.parent}" if lab and lab.folder != own else ""
        say(f"          leftovers of a lab {name}{whose} are here: cleaning up first")
        teardown.take_down(name)
    return None


def _new(name: str, base: Path, hosts: list[str]) -> state.Lab:
    with state.lock("subnets"):
        taken = {lab.index for lab in state.every().values()}
        index = network.free_index(taken, network.machine_routes())
        folder = names.own_folder(name)
        lab = state.Lab(name, index, str(folder), str(base))
        lab.hosts = {each: state.Host() for each in hosts}
        state.save(lab)
    return lab


def boot_all(lab: state.Lab, hosts: list[str]) -> None:
    """Boot hosts side by side; return when ssh answers on each and limits work in it."""
    for each in hosts:
        ssh.disconnect(lab, each)
        if not disk.is_ready(lab, each):
            host.clear(lab.name, each)
            teardown.forget_disk(lab.name, each)
            disk.prepare(lab, each)
        host.boot(lab, each)
    for each in hosts:
        ssh.connect(lab, each)
    for each in hosts:
        host.give_limits(lab, each)
        lab.hosts[each].ready = True
        state.save(lab)
