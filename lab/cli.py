"""The verbs of `bin/lab`."""

import argparse
import json
import os
import sys

from lab import (
    access,
    build,
    cgroup,
    golden,
    host,
    machine,
    names,
    partition,
    ssh,
    state,
    teardown,
)
from lab.errors import LabError, NotFound
from lab.shell import say, step

_EPILOG = """\
LAB=name chooses the lab (default: dcron); labs of several names run side by side.
exit codes: 0, 1 failed, 2 usage, 3 root is needed, 4 no such lab or host
"""


def parser() -> argparse.ArgumentParser:
    """The command line of `bin/lab`."""
    top = argparse.ArgumentParser(
        prog="bin/lab",
        description="real Debian hosts for dcron, without a hypervisor",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    up = verbs.add_parser("up", help="boot the lab, or the hosts that it lacks")
    up.add_argument("--bare", action="store_true", help="hosts without the cluster's packages")
    up.add_argument("--hosts", help="for example ctl1,ctl2,node1 (default: all five)")
    verbs.add_parser("down", help="remove the lab; nothing is left behind")
    status = verbs.add_parser("status", help="say what there is")
    status.add_argument("--json", action="store_true")
    for verb, text in (
        ("stop", "shut hosts down cleanly"),
        ("kill", "cut the power of hosts"),
        ("start", "boot hosts that are stopped"),
        ("freeze", "let hosts stand still, all processes at once"),
        ("thaw", "let frozen hosts go on"),
    ):
        one = verbs.add_parser(verb, help=text)
        one.add_argument("hosts", nargs="+", metavar="HOST")
    cut = verbs.add_parser("cut", help="cut hosts off from all others of the lab")
    cut.add_argument("--one-way", action="store_true", help="cut --one-way A B: A's packets to B")
    cut.add_argument("hosts", nargs="+", metavar="HOST")
    verbs.add_parser("heal", help="undo all cuts")
    run = verbs.add_parser("exec", help="run a command on a host, over ssh")
    run.add_argument("host", metavar="HOST")
    run.add_argument("words", nargs=argparse.REMAINDER, metavar="CMD")
    gold = verbs.add_parser("golden", help="build the base of the hosts, and no host")
    gold.add_argument("--bare", action="store_true", help="the one without the packages")
    verbs.add_parser("env", help="print the lab's paths and addresses, for a shell")
    verbs.add_parser("write-env", help="write DCRON_URL, DCRON_TOKEN and DCRON_CA for a shell")
    return top


def main(arguments: list[str]) -> int:
    """Carry out one command; return its exit code."""
    options = parser().parse_args(arguments)
    try:
        name = names.check_lab(os.environ.get("LAB") or names.DEFAULT_LAB)
        return _carry_out(options, name)
    except LabError as error:
        say(f"lab: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        say("lab: interrupted; `bin/lab up` goes on from here, `bin/lab down` cleans up")
        return 1
    except BrokenPipeError:
        # the reader has had enough (`bin/lab status | head -1`); nothing more may be written
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _carry_out(options: argparse.Namespace, name: str) -> int:
    if options.verb == "status":
        return _status(state.need(name), options.json)
    if options.verb == "env":
        print(access.shell_lines(state.need(name)), end="")
        return 0
    if options.verb == "write-env":
        return access.write(state.need(name))
    if options.verb == "exec":
        return _exec(state.need(name), options.host, options.words)
    machine.need_root()
    with state.lock(f"lab-{name}"):
        if options.verb == "up":
            build.up(name, options.hosts, options.bare)
        elif options.verb == "golden":
            machine.install_packages()
            print(golden.ensure("bare" if options.bare else "golden"))
        elif options.verb == "down":
            _down(name)
        elif options.verb in ("cut", "heal"):
            _cut(state.need(name), options)
        else:
            _act(state.need(name), options.verb, options.hosts)
    return 0


def _down(name: str) -> None:
    golden.clean()
    if teardown.leftovers(name):
        teardown.take_down(name)
    else:
        say(f"lab {name} is not up")


def _cut(lab: state.Lab, options: argparse.Namespace) -> None:
    if options.verb == "heal":
        lab.cuts = []
    elif options.one_way:
        lab.known(options.hosts)
        if len(options.hosts) != 2:
            raise LabError("cut --one-way takes two hosts: A's packets to B are lost")
        lab.cuts.append(["one-way", *options.hosts])
    else:
        lab.cuts.append(["off", *lab.known(options.hosts)])
    state.save(lab)
    with step(" ".join([options.verb, *(lab.cuts[-1] if lab.cuts else [])])):
        partition.apply(lab)


def _act(lab: state.Lab, verb: str, hosts: list[str]) -> None:
    lab.known(hosts)
    with step(f"{verb} {' '.join(hosts)}"):
        if verb == "start":
            build.boot_all(lab, [each for each in hosts if not host.is_up(lab.hosts[each])])
        for each in hosts:
            if verb in ("stop", "kill"):
                ssh.disconnect(lab, each)
                (host.shut_down if verb == "stop" else host.cut_power)(lab, each)
            elif verb in ("freeze", "thaw"):
                if not host.is_running(lab.hosts[each]):
                    raise LabError(f"{each} is stopped: bin/lab start {each} boots it")
                cgroup.freeze(lab.name, each, verb == "freeze")
                if verb == "thaw":
                    ssh.connect(lab, each)


def _exec(lab: state.Lab, each: str, words: list[str]) -> int:
    lab.known([each])
    if words[:1] == ["--"]:
        words = words[1:]
    if not words:
        raise NotFound("exec HOST CMD…: say what to run, for example: exec ctl1 uptime")
    now = host.describe(lab, each)
    if now != "running":
        verb = "thaw" if now == "frozen" else "start"
        raise LabError(f"{each} is {now}: bin/lab {verb} {each}")
    return ssh.execute(lab, each, words)


def _status(lab: state.Lab, as_json: bool) -> int:
    hosts = {
        each: {
            "address": lab.address(each),
            "state": host.describe(lab, each),
            "pid": lab.hosts[each].pid,
            "memory_bytes": cgroup.memory_bytes(lab.name, each),
        }
        for each in sorted(lab.hosts)
    }
    about = {
        "name": lab.name,
        "subnet": names.subnet(lab.index),
        "gateway": names.gateway(lab.index),
        "virtual_address": names.virtual_address(lab.index),
        "folder": lab.folder,
        "base": lab.base,
        "cuts": lab.cuts,
        "hosts": hosts,
    }
    if as_json:
        print(json.dumps(about, indent=2))
        return 0
    print(f"lab {lab.name}  {about['subnet']}  virtual address {about['virtual_address']}")
    for each, facts in hosts.items():
        used = facts["memory_bytes"]
        memory = f"{used / 2**20:6.0f} MiB" if isinstance(used, int) else ""
        print(f"  {each:6} {facts['address']:14} {facts['state']:8} {memory}")
    for kind, *named in lab.cuts:
        print(f"  cut ({kind}): {' '.join(named)}")
    sys.stdout.flush()
    return 0
