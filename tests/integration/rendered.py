"""What Ansible makes of templates, by the roles' own defaults, for a host of a small inventory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROLES = Path(__file__).parents[2] / "roles"
HOSTS = {"ctl1": "192.0.2.11", "ctl2": "192.0.2.12", "node1": "192.0.2.21"}
INVENTORY = "".join(f"{name} dcron_address={address}\n" for name, address in HOSTS.items())
GROUPS = "[haproxy]\nctl2\n[dcron_app]\nctl1\n[zookeeper]\nctl1\n"
VARIABLES = {
    "ansible_connection": "local",
    "ansible_python_interpreter": sys.executable,
    "dcron_service_address": "192.0.2.100",
    "dcron_secret_mysql_app": "Zk3vB7qLw9Xc2Np",
    "dcron_runtime_venv": "/opt/dcron/venv",
    "s3_settings": {"kind": "directory", "path": "/srv/files"},
}


def render(folder: Path, templates: list[Path], **variables: object) -> list[str]:
    """The texts of templates on host ctl1, with these variables set for all hosts."""
    (folder / "hosts").write_text(INVENTORY + GROUPS)
    made = [folder / f"{number}.out" for number in range(len(templates))]
    play = {
        "hosts": "ctl1",
        "gather_facts": False,
        "vars_files": [
            str(ROLES / role / kind / "main.yml")
            for role in ("dcron_app", "haproxy")
            for kind in ("defaults", "vars")
        ],
        "tasks": [
            {"ansible.builtin.template": {"src": str(source), "dest": str(target)}}
            for source, target in zip(templates, made, strict=True)
        ],
    }
    (folder / "play.yml").write_text(json.dumps([play]))
    (folder / "vars.json").write_text(json.dumps({**VARIABLES, **variables}))
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "play.yml"]
    command += ["-i", "hosts", "--extra-vars", "@vars.json"]
    environment = {**os.environ, "ANSIBLE_HOME": str(folder), "ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return [file.read_text() for file in made]
