"""`python -m cai_core …`"""

import sys

from cai_core.cli import main

if __name__ == "__main__":
    sys.exit(main())
