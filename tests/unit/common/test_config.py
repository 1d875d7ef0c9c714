"""app.toml and worker.toml: what is read, and how clearly the rest is refused."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dcron_common.config import load_app, load_worker
from dcron_common.errors import ConfigError
from dcron_common.settings import AppConfig, RetentionConfig

APP = """
[cluster]
name = "dcron"
timezone = "Europe/Riga"
[api]
listen = "0.0.0.0:30000"
tls_certificate = "/etc/dcron/api.crt"
tls_key = "/etc/dcron/api.key"
processes = 3
threads = 8
max_executable_bytes = 67108864
[database]
hosts = ["10.77.1.100:3307"]
name = "dcron"
user = "dcron_app"
password = "Zk3vB7qLw9Xc2Np"
ca = "/etc/dcron/ca.crt"
[zookeeper]
hosts = ["ctl1:2281", "ctl2:2281", "ctl3:2281"]
certificate = "/etc/dcron/zk.crt"
key = "/etc/dcron/zk.key"
ca = "/etc/dcron/ca.crt"
[object_store]
kind = "s3"
endpoint = "https://10.77.1.11:8080"
bucket = "dcron"
region = "us-east-1"
access_key = "app:s3"
secret_key = "Yt5mQ1zRk8Wd4Js"
ca = "/etc/dcron/ca.crt"
[secrets]
keys_file = "/etc/dcron/app/secrets.keys"
[log]
level = "INFO"
"""
WORKER = """
[worker]
name = "node1"
labels = {rack = "a1"}
capacity = 100
crontab = "system"
state_dir = "/var/lib/dcron-worker"
fifo = "/run/dcron/fire"
run_as = ["dcron-job", "backup"]
""" + re.sub(r"(?s)\[(api|secrets)\].*?(?=\[database|\[log)", "", APP)


def app(tmp_path: Path, text: str) -> AppConfig:
    file = tmp_path / "app.toml"
    file.write_text(text)
    return load_app(file)


def test_app_toml_becomes_typed_sections(tmp_path: Path) -> None:
    config = app(tmp_path, APP)
    assert config.cluster.timezone == "Europe/Riga"
    assert config.api.processes == 3
    assert config.database.kind == "mariadb"
    assert config.database.hosts == ("10.77.1.100:3307",)
    assert config.zookeeper.hosts == ("ctl1:2281", "ctl2:2281", "ctl3:2281")
    assert config.object_store.endpoint == "https://10.77.1.11:8080"
    assert config.secrets.keys_file == Path("/etc/dcron/app/secrets.keys")


def test_worker_toml_becomes_typed_sections(tmp_path: Path) -> None:
    file = tmp_path / "worker.toml"
    file.write_text(WORKER)
    worker = load_worker(file).worker
    assert (worker.name, worker.labels, worker.run_as) == (
        "node1",
        {"rack": "a1"},
        ("dcron-job", "backup"),
    )


def test_what_has_a_default_may_be_left_out(tmp_path: Path) -> None:
    text = APP.replace("processes = 3\nthreads = 8\n", "").replace('level = "INFO"\n', "")
    assert app(tmp_path, text).api.processes == 2


def test_a_directory_and_sqlite_need_only_a_path(tmp_path: Path) -> None:
    start, end = APP.index("[object_store]"), APP.index("[secrets]")
    text = APP.replace(APP[start:end], '[object_store]\nkind="directory"\npath="/srv/files"\n')
    start, end = text.index("[database]"), text.index("[zookeeper]")
    text = text.replace(text[start:end], '[database]\nkind="sqlite"\npath="/srv/dcron.db"\n')
    config = app(tmp_path, text)
    assert config.object_store.path == Path("/srv/files")
    assert config.database.path == Path("/srv/dcron.db")


def test_without_endpoint_and_ca_the_store_is_aws(tmp_path: Path) -> None:
    text = APP.replace('endpoint = "https://10.77.1.11:8080"\n', "").replace(
        'Yt5mQ1zRk8Wd4Js"\nca = "/etc/dcron/ca.crt"', 'Yt5mQ1zRk8Wd4Js"'
    )
    store = app(tmp_path, text).object_store
    assert (store.endpoint, store.ca) == (None, None)


def test_secrets_do_not_show(tmp_path: Path) -> None:
    shown = repr(app(tmp_path, APP))
    assert "Zk3vB7qLw9Xc2Np" not in shown
    assert "Yt5mQ1zRk8Wd4Js" not in shown


def test_labels_and_lists_cannot_be_changed_into_a_wrong_type(tmp_path: Path) -> None:
    file = tmp_path / "worker.toml"
    file.write_text(WORKER.replace('{rack = "a1"}', "{rack = 1}"))
    with pytest.raises(ConfigError, match=r"worker\.labels.*table of texts"):
        load_worker(file)


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("[log]", "[logs]", "log"),
        ("[log]", "[extra]\na = 1\n[log]", "extra"),
        ("threads = 8", "thread = 8", "api.thread: is unknown.*threads"),
        ("threads = 8", 'threads = "8"', "api.threads"),
        ("threads = 8", "threads = true", "api.threads"),
        ("threads = 8", "threads = 0", "api.threads"),
        ("threads = 8", "threads = 99999", "api.threads"),
        ("0.0.0.0:30000", "localhost", "api.listen"),
        ("0.0.0.0:30000", "0.0.0.0:70000", "api.listen"),
        ("0.0.0.0:30000", "0.0.0.0:0", "api.listen"),
        ("https://10.77.1.11:8080", "ftp://x", "object_store.endpoint"),
        ("https://10.77.1.11:8080", "https://x:abc", "object_store.endpoint"),
        ('tls_key = "/etc/dcron/api.key"\n', "", "api.tls_key"),
        (
            'tls_certificate = "/etc/dcron/api.crt"\ntls_key = "/etc/dcron/api.key"\n',
            "",
            "api.tls_certificate.*127.0.0.1",
        ),
        ("/etc/dcron/zk.crt", "zk.crt", "zookeeper.certificate.*absolute"),
        ("/etc/dcron/zk.crt", "/etc/../zk.crt", "zookeeper.certificate"),
        ('"ctl1:2281", ', '"ctl1", ', "zookeeper.hosts"),
        ('"ctl1:2281", ', '"ctl2:2281", ', "zookeeper.hosts.*twice"),
        ('["10.77.1.100:3307"]', "[]", "database.hosts.*at least one"),
        ('["10.77.1.100:3307"]', '"10.77.1.100:3307"', "database.hosts.*list"),
        ('user = "dcron_app"\n', "", "database.user.*missing"),
        ('name = "dcron"\nuser', 'name = "dc`ron"\nuser', "database.name"),
        ('kind = "s3"', 'kind = "ftp"', "object_store.kind.*s3, directory"),
        ('bucket = "dcron"', 'bucket = "../x"', "object_store.bucket"),
        ("Europe/Riga", "Mars/Olympus", "cluster.timezone"),
        ("Europe/Riga", "../etc/passwd", "cluster.timezone"),
        ('level = "INFO"', 'level = "LOUD"', "log.level"),
        ('level = "INFO"', "level = 7", "log.level"),
        ('access_key = "app:s3"', 'access_key = "a\\nb"', "object_store.access_key"),
    ],
)
def test_a_wrong_value_is_refused_by_name(tmp_path: Path, old: str, new: str, key: str) -> None:
    assert APP.count(old) == 1
    with pytest.raises(ConfigError, match=rf"app\.toml: {key}"):
        app(tmp_path, APP.replace(old, new))


@pytest.mark.parametrize(
    "secret",
    ["", " ", "changeme", "ChangeMe!", "CHANGE_ME_PLEASE_123", "password", "Password123456",
     "secret", "minioadmin", "dcron", "short", "aaaaaaaaaaaaaaaaaaaa", "abcabcabcabcabc"],
)  # fmt: skip
@pytest.mark.parametrize("real", ["Zk3vB7qLw9Xc2Np", "Yt5mQ1zRk8Wd4Js"])
def test_an_empty_default_or_weak_secret_is_refused(tmp_path: Path, real: str, secret: str) -> None:
    with pytest.raises(ConfigError, match="openssl rand") as caught:
        app(tmp_path, APP.replace(real, secret))
    if len(secret) > 8:
        assert secret not in str(caught.value)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter, as /etc/dcron is not: pytest's own keeps others out."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o666, 0o602])
def test_a_file_with_secrets_that_is_open_to_everybody_is_refused(
    open_folder: Path, mode: int
) -> None:
    file = open_folder / "app.toml"
    file.write_text(APP)
    file.chmod(mode)
    with pytest.raises(ConfigError, match=f"every user of this host may .*; chmod o= {file}"):
        load_app(file)
    open_folder.chmod(0o750)
    load_app(file)  # nobody else gets as far as the file


@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_a_file_with_secrets_that_is_closed_to_others_is_read(open_folder: Path, mode: int) -> None:
    file = open_folder / "app.toml"
    file.write_text(APP)
    file.chmod(mode)
    assert load_app(file).database.user == "dcron_app"


def test_a_file_without_secrets_may_be_read_by_everybody_but_written_by_none(
    open_folder: Path,
) -> None:
    file = open_folder / "app.toml"
    sections = {"database": 'kind = "sqlite"\npath = "/srv/d.db"\n'}
    sections["object_store"] = 'kind = "directory"\npath = "/srv/objects"\n'
    text = APP
    for name, values in sections.items():
        text = re.sub(rf"\[{name}\]\n(?:[^\[].*\n)*", f"[{name}]\n{values}", text)
    file.write_text(text)
    file.chmod(0o644)
    assert load_app(file).database.kind == "sqlite"
    file.chmod(0o646)
    with pytest.raises(ConfigError, match="may write it"):
        load_app(file)


def test_a_missing_file_and_bad_toml_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape(str(tmp_path / "none.toml"))):
        load_app(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match=r"app\.toml: is not TOML"):
        app(tmp_path, "[cluster")


@pytest.mark.parametrize("name", ["", "a b", "../x", "-a", "a" * 65, "a\\u0000b", "a/b"])
def test_a_worker_name_fits_a_znode_and_a_certificate(tmp_path: Path, name: str) -> None:
    file = tmp_path / "worker.toml"
    file.write_text(WORKER.replace("node1", name))
    with pytest.raises(ConfigError, match=r"worker\.name"):
        load_worker(file)


def test_run_as_names_os_users(tmp_path: Path) -> None:
    file = tmp_path / "worker.toml"
    file.write_text(WORKER.replace('"backup"', '"a b; rm"'))
    with pytest.raises(ConfigError, match=r"worker\.run_as"):
        load_worker(file)


def test_without_a_section_retention_is_by_its_defaults(tmp_path: Path) -> None:
    assert app(tmp_path, APP).retention == RetentionConfig(90, 10_000, 90)


def test_retention_is_read_and_each_part_is_turned_off_by_a_word_or_zero(tmp_path: Path) -> None:
    text = '[retention]\nrun_days = 30\nruns_per_job = "never"\nremoved_job_days = 0\n'
    assert app(tmp_path, APP + text).retention == RetentionConfig(30, None, None)


@pytest.mark.parametrize(
    "line",
    [
        "run_days = -1",
        'run_days = "forever"',
        "run_days = true",
        "runs_per_job = 10_000_001",
        "runs_per_job = 1.5",
        "removed_job_days = 36_501",
        "removed_days = 3",
    ],
)
def test_retention_that_makes_no_sense_is_refused_by_name(tmp_path: Path, line: str) -> None:
    with pytest.raises(ConfigError, match=f"retention.{line.partition(' ')[0]}"):
        app(tmp_path, f"{APP}[retention]\n{line}\n")
