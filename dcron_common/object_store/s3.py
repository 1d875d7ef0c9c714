"""Objects in an S3 bucket: AWS, or any service that speaks its protocol.

Credentials, CA and endpoint come from dcron's configuration alone; what the environment or
~/.aws may say is not asked. Each request is tried at most 3 times, with 5 s to connect and 30 s
of silence, then it is ObjectStoreUnavailable.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

# urllib3's errors surface unwrapped while a body is read.
from urllib3.exceptions import HTTPError

from dcron_common.errors import (
    ConfigError,
    ObjectNotFound,
    ObjectStoreError,
    ObjectStoreUnavailable,
)
from dcron_common.object_store.contract import CHUNK, PAGE, Listed, ObjectStore, check_key, is_key
from dcron_common.settings import ObjectStoreConfig

_SETTINGS = Config(
    signature_version="s3v4",
    connect_timeout=5,
    read_timeout=30,
    retries={"total_max_attempts": 3, "mode": "standard"},
    max_pool_connections=32,
    # Newer boto3 sends checksums as trailers of a chunked body, which services other than AWS
    # (Swift 2.30 among them) do not know. A signed payload protects the body as well.
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
    s3={"addressing_style": "path", "payload_signing_enabled": True},
)
_REMEDIES = {
    "NoSuchBucket": "create the bucket, or name another in object_store.bucket",
    "InvalidAccessKeyId": "check object_store.access_key",
    "SignatureDoesNotMatch": "check object_store.secret_key and region",
    "AccessDenied": "give the access key the right to read and write the bucket",
    "403": "check object_store.access_key and secret_key, and their rights on the bucket",
    "RequestTimeTooSkewed": "set this host's clock",
}


@contextmanager
def _mapped(what: str) -> Iterator[None]:
    """Turn boto's errors into the store's."""
    try:
        yield
    except ClientError as error:
        raise _from_answer(what, error) from error
    except (BotoCoreError, HTTPError, OSError) as error:
        raise ObjectStoreUnavailable(f"{what}: {error}") from error


def _from_answer(what: str, error: ClientError) -> ObjectStoreError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in ("NoSuchKey", "404", "NotFound"):
        return ObjectNotFound(what)
    text = f"{what}: the object store answers {status} {code}"
    if code in _REMEDIES:
        return ObjectStoreUnavailable(f"{text}; {_REMEDIES[code]}")
    if status >= 500 or status == 429 or code in ("SlowDown", "RequestTimeout"):
        return ObjectStoreUnavailable(text)
    return ObjectStoreError(text)


class S3Store(ObjectStore):
    """One bucket, which must exist. Safe to share between threads."""

    def __init__(self, config: ObjectStoreConfig) -> None:
        self._bucket = config.bucket
        self._base = config.endpoint or f"https://s3.{config.region}.amazonaws.com"
        try:
            self._client: Any = boto3.session.Session().client(
                "s3",
                endpoint_url=self._base,  # always given: else AWS_ENDPOINT_URL counts
                region_name=config.region,
                aws_access_key_id=config.access_key,
                aws_secret_access_key=config.secret_key,
                verify=None if config.ca is None else str(config.ca),
                config=_SETTINGS,
            )
        except (BotoCoreError, ValueError) as error:
            raise ConfigError(f"object_store: {error}") from error

    def put(
        self, key: str, data: bytes | BinaryIO, content_type: str = "application/octet-stream"
    ) -> None:
        check_key(key)
        with _mapped(key):
            self._client.put_object(
                Bucket=self._bucket, Key=key, Body=data, ContentType=content_type
            )

    def stream(self, key: str) -> Iterator[bytes]:
        check_key(key)
        with _mapped(key):
            answer = self._client.get_object(Bucket=self._bucket, Key=key)
            body = answer["Body"]
            try:
                # Ends with an error, not early, if fewer bytes come than were announced.
                yield from body.iter_chunks(CHUNK)
            finally:
                body.close()

    def size(self, key: str) -> int:
        check_key(key)
        with _mapped(key):
            return int(self._client.head_object(Bucket=self._bucket, Key=key)["ContentLength"])

    def exists(self, key: str) -> bool:
        try:
            self.size(key)
        except ObjectNotFound:
            # HEAD has no body, and so cannot tell a missing bucket from a missing key.
            self.ready()
            return False
        return True

    def delete(self, key: str) -> None:
        check_key(key)
        try:
            with _mapped(key):
                self._client.delete_object(Bucket=self._bucket, Key=key)
        except ObjectNotFound:
            return

    def listed(self, prefix: str, after: str = "", limit: int = PAGE) -> list[Listed]:
        check_key(prefix.removesuffix("/"))
        found: list[Listed] = []
        more = True
        while more and len(found) < limit:
            with _mapped(prefix):
                page = self._client.list_objects_v2(
                    Bucket=self._bucket, Prefix=prefix, StartAfter=after, MaxKeys=limit
                )
            entries = page.get("Contents", ())
            found += [
                Listed(one["Key"], one["LastModified"].timestamp())
                for one in entries
                if is_key(one["Key"])
            ]
            more = bool(page["IsTruncated"] and entries)
            if more:
                after = entries[-1]["Key"]
        return found[:limit]

    def url(self, key: str) -> str:
        return f"{self._base}/{self._bucket}/{check_key(key)}"

    def ready(self) -> None:
        what = f"bucket {self._bucket}"
        try:
            with _mapped(what):
                self._client.head_bucket(Bucket=self._bucket)
        except ObjectNotFound as error:
            raise ObjectStoreUnavailable(f"{what}: {_REMEDIES['NoSuchBucket']}") from error
        except ObjectStoreUnavailable:
            raise
        except ObjectStoreError as error:
            raise ObjectStoreUnavailable(str(error)) from error
