"""Try an S3 bucket: put, get and delete one small object."""

from __future__ import annotations

import secrets
import time
from typing import Any

import boto3
from ansible.module_utils.basic import AnsibleModule
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = r"""
module: dcron_s3_probe
short_description: Try an S3 bucket
description: Puts, gets and deletes one small object, and says what to do if that fails.
author: The dcron authors
options:
  endpoint: {type: str, default: "", description: "URL of the service; empty for AWS."}
  region: {type: str, required: true, description: "Region that is signed for."}
  bucket: {type: str, required: true, description: "The bucket."}
  access_key: {type: str, required: true, description: "Access key."}
  secret_key: {type: str, required: true, description: "Its secret."}
  ca: {type: str, default: "", description: "PEM file; empty for the usual authorities."}
  timeout: {type: int, default: 30, description: "Seconds to wait for a service that starts."}
"""

SETTINGS = Config(
    signature_version="s3v4",
    connect_timeout=5,
    read_timeout=20,
    retries={"total_max_attempts": 1},
    # Services other than AWS do not know checksums in trailers.
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
    s3={"addressing_style": "path"},
)
REMEDIES = {
    "NoSuchBucket": "create the bucket, or name another as s3_bucket",
    "404": "create the bucket, or name another as s3_bucket",
    "InvalidAccessKeyId": "check s3_access_key",
    "SignatureDoesNotMatch": "check s3_secret_key and s3_region",
    "AccessDenied": "give the access key the right to read, write and delete in the bucket",
    "403": "check the access key, its secret, and its rights on the bucket",
    "RequestTimeTooSkewed": "set the clock of the control machine",
}


def code_of(error: ClientError) -> str:
    """What the service calls its refusal."""
    return str(error.response.get("Error", {}).get("Code", ""))


def passing(error: ClientError) -> bool:
    """Whether a service that starts may say so and mean later."""
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    return status >= 500 and code_of(error) != "NotImplemented"


def probe(client: Any, bucket: str) -> None:
    """ValueError if the service gives back something else than it was given."""
    key = f"dcron-probe/{secrets.token_hex(8)}"
    content = secrets.token_bytes(64)
    client.put_object(Bucket=bucket, Key=key, Body=content)
    try:
        if client.get_object(Bucket=bucket, Key=key)["Body"].read() != content:
            raise ValueError(f"{key}: what was put is not what is got")
    finally:
        client.delete_object(Bucket=bucket, Key=key)


def run(options: dict[str, Any]) -> None:
    """Try until it works, or the deadline has passed while the service cannot be reached."""
    client = boto3.client(
        "s3",
        endpoint_url=options["endpoint"] or None,
        region_name=options["region"],
        aws_access_key_id=options["access_key"],
        aws_secret_access_key=options["secret_key"],
        verify=options["ca"] or None,
        config=SETTINGS,
    )
    deadline = time.monotonic() + options["timeout"]
    while True:
        try:
            probe(client, options["bucket"])
            return
        except (BotoCoreError, ClientError) as error:
            final = isinstance(error, ClientError) and not passing(error)
            if final or time.monotonic() >= deadline:
                raise
            time.sleep(1)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "endpoint": {"type": "str", "default": ""},
            "region": {"type": "str", "required": True},
            "bucket": {"type": "str", "required": True},
            "access_key": {"type": "str", "required": True, "no_log": False},
            "secret_key": {"type": "str", "required": True, "no_log": True},
            "ca": {"type": "str", "default": ""},
            "timeout": {"type": "int", "default": 30},
        }
    )
    options = module.params
    where = f"{options['endpoint'] or 'AWS'}, bucket {options['bucket']}"
    try:
        run(options)
    except ClientError as error:
        remedy = REMEDIES.get(code_of(error), "see the service's own log")
        module.fail_json(msg=f"{where}, key {options['access_key']}: {error}. Remedy: {remedy}.")
    except (BotoCoreError, OSError, ValueError) as error:
        module.fail_json(
            msg=f"{where}: {error}. Remedy: check s3_endpoint and, for its certificate, "
            "s3_ca_file; the control machine must reach it, else set s3_verify to false."
        )
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
