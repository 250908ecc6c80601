"""kernelgrad, NumPy and, where installed, PyTorch and JAX, interleaved in one process.

    python bench/compare.py [--quick] [--threads N] [--rounds N] [--only PATTERN] [--json FILE]

A ratio is the rival's time over kernelgrad's: above 1, kernelgrad is faster. Of each ratio the
median round and, in parentheses, the slowest round are shown; with several threads also the time of
kernelgrad's own single thread. Shares of the peak relate to the rate of FMAs between registers, or
of copying memory, measured in the same process; where the data fit a cache, a share of the copy
rate can exceed 100 %. The means at the end are of the ratios to the better of NumPy and PyTorch.
--quick takes about five minutes. Where KERNELGRAD_ISA forces a level below the machine's highest,
the rivals are held to it.
"""

from __future__ import annotations

import argparse
import re

from families import FAMILIES, Family, Row, means, shortfalls
from harness import arguments, prepare, run
from report import Report, summary


def measured(report: Report, options: argparse.Namespace) -> dict[Family, list[Row]]:
    """The rows of every family of which something was selected."""
    found = {}
    for family in FAMILIES:
        cases = family.cases()
        if options.quick:
            cases = (case for case in cases if re.search(family.quick, case.name))
        if rows := run(cases, options, report):
            found[family] = rows
    return found


def main() -> None:
    options = arguments(__doc__)
    prepare(options)
    report = Report(options.threads)
    families = measured(report, options)
    report.finish(options.json)
    print("\ngeometric means of the ratios to the better rival, and what was aimed at:")
    for family, rows in families.items():
        for name, lines, ratios, aim in means(family, rows):
            aimed = "" if aim is None else f", aim {aim:.2f}"
            print(f"  {name} ({lines}): {summary(ratios)}{aimed}")
    print("\nshort of what is aimed at:")
    for family, rows in families.items():
        for line in shortfalls(family, rows, report.peaks["copy_gbytes"]):
            print(f"  {line}")


if __name__ == "__main__":
    main()
