"""A lab as Ansible's inventory sees it."""

import shlex
from typing import Any

from lab import access, names, ssh, state


def listing(lab: state.Lab) -> dict[str, Any]:
    """The answer to `--list`, host variables in it under `_meta`."""
    hosts = sorted(lab.hosts)
    members = {
        group: {"hosts": [host for host in hosts if group in names.groups(host)]}
        for group in names.CONTROL_GROUPS
    }
    everyone = {
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(ssh.key(lab)),
        "ansible_ssh_args": shlex.join(
            ["-o", "ControlMaster=auto", "-o", "ControlPersist=300s", *ssh.options(lab)]
        ),
        "ansible_python_interpreter": "/usr/bin/python3",
        "dcron_virtual_address": names.virtual_address(lab.index),
        "dcron_secrets_dir": str(access.secrets(lab)),
        "dcron_lab_name": lab.name,
    }
    return {
        **members,
        "all": {"children": [*members], "vars": everyone},
        "_meta": {"hostvars": {host: {"ansible_host": lab.address(host)} for host in hosts}},
    }
