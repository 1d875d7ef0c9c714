#!/usr/bin/python3
"""The lab that LAB names as inventory/single would have it: one host, no object store of its own.

Group variables are the lab's; sizes are inventory/single's.
"""

import json
import os
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lab import inventory, names, state  # noqa: E402 (the checkout has to be on the path first)
from lab.errors import LabError  # noqa: E402

SINGLE = {
    "s3_directory": "/var/lib/dcron-objects",
    "mysql_buffer_pool": "256M",
    "zookeeper_heap": "256m",
}

try:
    lab = state.need(names.check_lab(os.environ.get("LAB") or names.DEFAULT_LAB))
except LabError as error:
    sys.exit(f"bench/inventory: {error}")
listing = inventory.listing(lab)
listing["all"]["children"].remove("s3_store")
del listing["s3_store"]
for host in listing["_meta"]["hostvars"].values():
    host.update(SINGLE)
print(json.dumps(listing if "--list" in sys.argv else {}, indent=2))
