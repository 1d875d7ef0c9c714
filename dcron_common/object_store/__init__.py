"""Files of jobs and large outputs: any S3 service, or a directory where there is one machine.

`open_object_store` makes the one that the configuration names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dcron_common.errors import ConfigError
from dcron_common.object_store.contract import ObjectStore, executable_key

if TYPE_CHECKING:
    from dcron_common.settings import ObjectStoreConfig

__all__ = ["ObjectStore", "executable_key", "open_object_store"]


def open_object_store(config: ObjectStoreConfig) -> ObjectStore:
    """The store of this configuration. Asks nothing of it yet: `ready` does."""
    if config.kind == "directory":
        from dcron_common.object_store.directory import DirectoryStore

        if config.path is None:
            raise ConfigError("object_store.path: is missing; write an absolute path")
        return DirectoryStore(config.path)
    if config.kind == "s3":
        # Here and not above: boto3 takes 0.3 s to import, which the embedded mode need not pay.
        from dcron_common.object_store.s3 import S3Store

        return S3Store(config)
    raise ConfigError(f"object_store.kind: is {config.kind!r}; write s3 or directory")
