"""dcron: cron for a fleet. One distribution; what a machine does, its configuration decides."""

from setuptools import find_packages, setup

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

setup(
    name="dcron",
    version="0.1.0",
    description="cron for a fleet",
    license="MIT",
    python_requires=">=3.11",
    packages=find_packages(include=["dcron_common*", "dcron_app*", "dcron_worker*", "dcron_cli*"]),
    package_data={"": ["py.typed"], "dcron_app": ["static/*"]},
    install_requires=RUNTIME,
    entry_points={
        "console_scripts": [
            "dcron = dcron_cli.main:main",
            "dcron-app = dcron_app.main:main",
            "dcron-worker = dcron_worker.main:main",
        ]
    },
)
