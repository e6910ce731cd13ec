"""`python -m fedfin`: the same as the `fedfin` command."""

import sys

from fedfin.command_line.main import main

if __name__ == "__main__":
    sys.exit(main())
