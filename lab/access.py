"""How a person or a shell reaches the cluster that was deployed to a lab."""

import os
import shlex
from pathlib import Path

from lab import names, ssh, state
from lab.errors import LabError


def secrets(lab: state.Lab) -> Path:
    """The folder of the cluster's CA, passwords and first token."""
    return Path(lab.folder) / "secrets"


def shell_lines(lab: state.Lab) -> str:
    """The lab's paths and addresses as lines for a shell."""
    values = {
        "LAB": lab.name,
        "DCRON_LAB_FOLDER": lab.folder,
        "DCRON_LAB_SECRETS": str(secrets(lab)),
        "DCRON_LAB_STATE": str(names.run_dir(lab.name)),
        "DCRON_LAB_SSH_KEY": str(ssh.key(lab)),
        "DCRON_LAB_SUBNET": names.subnet(lab.index),
        "DCRON_LAB_GATEWAY": names.gateway(lab.index),
        "DCRON_LAB_VIRTUAL_ADDRESS": names.virtual_address(lab.index),
        "DCRON_LAB_BASE": lab.base,
    }
    return _lines(values)


def write(lab: state.Lab) -> int:
    """Write the file that a shell sources to use the cluster, and say how; return 0."""
    folder = secrets(lab)
    token, ca = folder / "admin.token", folder / "ca.crt"
    for file in (token, ca):
        if not file.is_file():
            raise LabError(f"{file} is not there: deploy first (ansible-playbook site.yml)")
    values = {
        "DCRON_URL": f"https://{names.virtual_address(lab.index)}",
        "DCRON_TOKEN": token.read_text().strip(),
        "DCRON_CA": str(ca),
    }
    files = [Path(lab.folder) / "env"]
    if lab.name == names.DEFAULT_LAB:
        files.append(Path(lab.folder).parent / "env")
    for file in files:
        _write_private(file, _lines(values))
    shown = files[-1]
    print(
        f"The cluster answers at {values['DCRON_URL']}. To use it:\n\n"
        f"  . {shown}\n"
        '  curl --cacert "$DCRON_CA" -H "Authorization: Bearer $DCRON_TOKEN" "$DCRON_URL/jobs"\n'
        '  curl --cacert "$DCRON_CA" -H "Authorization: Bearer $DCRON_TOKEN" \\\n'
        '    -H "Content-Type: application/json" -X POST \\\n'
        '    -d \'{"executable": "ls -la", "schedule": "* * * * *", "type": "command"}\' '
        '"$DCRON_URL/jobs"\n\n'
        f"  LAB={lab.name} bin/lab status        the hosts\n"
        f"  LAB={lab.name} bin/lab exec ctl1 …   a shell command on one\n"
        f"  LAB={lab.name} bin/lab kill node1    a power cut\n"
    )
    return 0


def _lines(values: dict[str, str]) -> str:
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())


def _write_private(file: Path, text: str) -> None:
    part = file.with_name(f".{file.name}.part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
    part.rename(file)
