"""Ansible's own commands on copies of the inventories that people copy: no host is contacted.

Preflight's plays run with the facts of a Debian 12 host given; templates are rendered by a role
that has the variables of the real ones, so that precedence is Ansible's own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
_FACTS = {
    "distribution": "Debian",
    "distribution_major_version": "12",
    "distribution_version": "12.5",
    "default_ipv4": {"interface": "eth0"},
}
_RENDER = """
- name: Render
  hosts: all
  tasks:
    - name: Configure
      ansible.builtin.include_role:
        name: render
"""


class Inventory:
    """A copy of inventory/NAME with secrets of its own, made as a user makes them."""

    def __init__(self, name: str, folder: Path) -> None:
        self.folder = folder / name
        shutil.copytree(CHECKOUT / "inventory" / name, self.folder)
        self.secrets = folder / "secrets"
        self._work = folder
        done = self._run("ansible-playbook", str(CHECKOUT / "playbooks/secrets.yml"))
        assert done.returncode == 0, done.stdout + done.stderr

    def listing(self) -> dict[str, Any]:
        """What `ansible-inventory --list` shows. AssertionError if it cannot be read."""
        done = self._run("ansible-inventory", "--list")
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def preflight(self, host: str, **values: Any) -> str:
        """Why playbooks/preflight.yml refuses the inventory, `values` set; "" if it does not."""
        done = self._play(CHECKOUT / "playbooks/preflight.yml", host, values)
        refused = [line for line in done.stdout.splitlines() if line.startswith("fatal: ")]
        assert bool(refused) == bool(done.returncode), done.stdout + done.stderr
        return "\n".join(refused)

    def render(self, template: str, host: str, **values: Any) -> Path:
        """The file that roles/ROLE/templates/NAME ("ROLE/NAME") makes for `host`."""
        return self.render_all([template], host, **values)[host, template]

    def render_all(
        self, templates: list[str], *hosts: str, **values: Any
    ) -> dict[tuple[str, str], Path]:
        """The same of several templates for several hosts, in one run."""
        made = self._work / "roles" / "render"
        if made.exists():
            shutil.rmtree(made)
        roles = [template.partition("/")[0] for template in templates]
        for kind in ("defaults", "vars"):
            (made / kind / "main").mkdir(parents=True)
            for each in dict.fromkeys(["s3", *roles]):  # the order of role dependencies
                source = CHECKOUT / "roles" / each / kind / "main.yml"
                (made / kind / "main" / f"{each}.yml").symlink_to(source)
        tasks = []
        files: dict[tuple[str, str], Path] = {}
        for role, template in zip(roles, templates, strict=True):
            name = template.removeprefix(f"{role}/")
            source = CHECKOUT / "roles" / role / "templates" / name
            end = name.removesuffix(".j2")
            options = {
                "src": str(source),
                "dest": f"{self._work}/{{{{ inventory_hostname }}}}.{end}",
                "mode": "0600",
            }
            tasks.append({"name": f"Write {end}", "ansible.builtin.template": options})
            files |= {(host, template): self._work / f"{host}.{end}" for host in hosts}
        (made / "tasks").mkdir()
        (made / "tasks/main.yml").write_text(json.dumps(tasks))
        playbook = self._work / "render.yml"
        playbook.write_text(_RENDER)
        for file in files.values():
            file.unlink(missing_ok=True)
        done = self._play(playbook, ",".join(hosts), values)
        assert done.returncode == 0, done.stdout + done.stderr
        return files

    def _play(
        self, playbook: Path, host: str, values: dict[str, Any]
    ) -> subprocess.CompletedProcess[str]:
        here = {"ansible_connection": "local", "ansible_become": False, "ansible_facts": _FACTS}
        here |= {"ansible_python_interpreter": sys.executable}
        here |= {"dcron_secrets_dir": str(self.secrets)}
        more = json.dumps({**here, **values})
        limit = f"localhost,{host}"
        return self._run("ansible-playbook", "--limit", limit, "-e", more, str(playbook))

    def _run(self, command: str, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "ANSIBLE_HOME": str(self._work / "ansible"),
            "ANSIBLE_GATHERING": "explicit",
            "ANSIBLE_NOCOLOR": "1",
        }
        return subprocess.run(
            [str(Path(sys.executable).parent / command), "-i", str(self.folder), *words],
            cwd=CHECKOUT,  # where ansible.cfg is
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
