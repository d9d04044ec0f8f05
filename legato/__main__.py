"""`python -m legato` and `torchrun -m legato` are `legato`."""

import sys

from legato.cli import main

sys.exit(main())
