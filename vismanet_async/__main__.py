"""`python -m vismanet_async`."""

import sys

from vismanet_async._cli import main

if __name__ == "__main__":
    sys.exit(main())
