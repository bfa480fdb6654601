"""`python -m skelstream` is the command `skelstream`."""

import sys

from .launch.cli import main

sys.exit(main())
