"""dcron: cron for a fleet. One distribution; what a machine does, its configuration decides."""

import os
import subprocess
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

# Each range starts at the version the tests run with and ends before the next
# release that may break it. The reason for each dependency: docs/dependencies.md.
RUNTIME = [
    "bottle>=0.13.4,<0.14",
    "gunicorn>=23,<28",
    "peewee>=4.5,<5",
    "pymysql>=1.1,<2",
    "cryptography>=43",  # pymysql: caching_sha2/ed25519 logins; dcron doctor: certificates
    "kazoo>=2.10,<3",
    "boto3>=1.40,<2",
    "croniter>=6,<8",
    "python-crontab>=3.2,<4",
    "pydantic>=2.10,<3",
    "tzdata>=2025.2",
    "argon2-cffi>=23.1,<26",
    "pynacl>=1.6,<2",
    "click>=8.1,<9",
    "rich>=13.9,<16",
    "requests>=2.32,<3",
    "pyyaml>=6.0.2,<7",
]

# The one part in C (docs/adr/0012-the-starter-in-c.md). Static: for any Linux of its platform.
STARTER = "dcron_worker.runner.dcron-starter"
SOURCES = sorted(map(str, Path("dcron_worker/runner/starter").glob("*.[ch]")))
FLAGS = ["-std=c11", "-O2", "-D_FORTIFY_SOURCE=2", "-fstack-protector-strong", "-static"]


class BuildProgram(build_ext):
    """An extension that is a program, not a module of Python. CC compiles it."""

    def get_ext_filename(self, fullname: str) -> str:
        return fullname.replace(".", "/")

    def build_extension(self, ext: Extension) -> None:
        target = Path(self.get_ext_fullpath(ext.name))
        target.parent.mkdir(parents=True, exist_ok=True)
        compiler = os.environ.get("CC", "cc")
        sources = [source for source in ext.sources if source.endswith(".c")]
        try:
            subprocess.run([*compiler.split(), *FLAGS, "-o", target, *sources], check=True)
        except FileNotFoundError as error:
            raise SystemExit(
                f"dcron's starter is in C, and there is no compiler {compiler!r}: apt-get install "
                "gcc libc6-dev, or gcc-aarch64-linux-gnu and its like for hosts of another "
                "architecture; CC names another one (in a deployment: dcron_runtime_compiler)"
            ) from error


class PlatformWheel(bdist_wheel):
    """For any Python of a platform: what is compiled in it asks for none."""

    def get_tag(self) -> tuple[str, str, str]:
        return ("py3", "none", super().get_tag()[2])


setup(
    name="dcron",
    version="0.1.0",
    description="cron for a fleet",
    license="MIT",
    python_requires=">=3.11",
    packages=find_packages(include=["dcron_common*", "dcron_app*", "dcron_worker*", "dcron_cli*"]),
    package_data={"": ["py.typed"], "dcron_app": ["static/*"]},
    ext_modules=[Extension(STARTER, SOURCES)],
    cmdclass={"build_ext": BuildProgram, "bdist_wheel": PlatformWheel},
    install_requires=RUNTIME,
    entry_points={
        "console_scripts": [
            "dcron = dcron_cli.main:main",
            "dcron-app = dcron_app.main:main",
            "dcron-worker = dcron_worker.main:main",
        ]
    },
)
