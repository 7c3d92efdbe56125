"""Runs the command line: `python -m caption_tx`."""

import sys

from caption_tx.cli import main

sys.exit(main())
