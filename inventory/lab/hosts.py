#!/usr/bin/python3
"""The inventory of a running lab: `ansible-playbook -i inventory/lab site.yml`.

LAB chooses the lab, as for bin/lab. Group variables stand beside this file.
"""

import json
import os
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lab import inventory, names, state  # noqa: E402 (the checkout has to be on the path first)
from lab.errors import LabError  # noqa: E402

try:
    lab = state.need(names.check_lab(os.environ.get("LAB") or names.DEFAULT_LAB))
except LabError as error:
    sys.exit(f"inventory/lab: {error}")
print(json.dumps(inventory.listing(lab) if "--list" in sys.argv else {}, indent=2))
