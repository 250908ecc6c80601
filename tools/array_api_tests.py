"""Runs the public test suite of the array API standard, data-apis/array-api-tests, on kernelgrad.

    git clone --recurse-submodules https://github.com/data-apis/array-api-tests
    pip install -r array-api-tests/requirements.txt
    python tools/array_api_tests.py array-api-tests [pytest's arguments]

The suite reads tests/array_api_xfails.txt: the tests that fail, each under a comment that says why.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXPECTED_FAILURES = ROOT / "tests" / "array_api_xfails.txt"


def main(arguments: list[str]) -> int:
    if not arguments or not (Path(arguments[0]) / "array_api_tests").is_dir():
        print(__doc__)
        return 2
    checkout, *options = arguments
    command = [sys.executable, "-m", "pytest", "array_api_tests", "-q"]
    command += ["--xfails-file", str(EXPECTED_FAILURES), "--disable-deadline"]
    command += ["-p", "no:cacheprovider", *options]
    environment = {**os.environ, "ARRAY_API_TESTS_MODULE": "kernelgrad"}
    return subprocess.run(command, cwd=checkout, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
