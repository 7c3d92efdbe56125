"""`python -m caption_tx` is the command line."""

import sys

from caption_tx.cli import main

sys.exit(main())
