"""`python -m fedfin`: the same as the `fedfin` command."""

import sys

from fedfin.cli import main

if __name__ == "__main__":
    sys.exit(main())
