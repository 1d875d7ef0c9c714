import shlex
import stat
from pathlib import Path

import pytest

from lab import access
from lab.errors import LabError
from lab.state import Lab


def deployed(folder: Path, name: str) -> Lab:
    lab = Lab(name, 3, str(folder / ".lab" / name), "/b")
    access.secrets(lab).mkdir(parents=True)
    (access.secrets(lab) / "admin.token").write_text("it's a secret\n")
    (access.secrets(lab) / "ca.crt").write_text("pem")
    return lab


def exports(file: Path) -> dict[str, str]:
    words = [shlex.split(line)[1] for line in file.read_text().splitlines()]
    return dict(word.split("=", 1) for word in words)


def test_the_file_for_a_shell_is_private_and_survives_quoting(tmp_path: Path) -> None:
    lab = deployed(tmp_path, "t")
    assert access.write(lab) == 0
    file = tmp_path / ".lab" / "t" / "env"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert exports(file) == {
        "DCRON_URL": "https://10.77.3.100",
        "DCRON_TOKEN": "it's a secret",
        "DCRON_CA": str(access.secrets(lab) / "ca.crt"),
    }
    assert not (tmp_path / ".lab" / "env").exists()


def test_the_default_lab_has_the_short_path_too(tmp_path: Path) -> None:
    access.write(deployed(tmp_path, "dcron"))
    assert exports(tmp_path / ".lab" / "env")["DCRON_URL"] == "https://10.77.3.100"


def test_before_the_deployment_it_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="admin.token is not there: deploy first"):
        access.write(Lab("t", 3, str(tmp_path / ".lab" / "t"), "/b"))
