"""`python -m dcron_worker.runner`."""

import sys

from dcron_worker.runner.main import main

sys.exit(main())
