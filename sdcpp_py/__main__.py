"""``python -m sdcpp_py``."""

import sys

from sdcpp_py.cli import main

sys.exit(main())
