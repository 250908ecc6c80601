"""SciPy reads this variable when it is imported, which may be in any of the tests here."""

import os

os.environ.setdefault("SCIPY_ARRAY_API", "1")
