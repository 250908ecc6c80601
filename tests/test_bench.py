"""The judgements of bench/ on made-up timings: cliffs, means, what falls short, plots."""

from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def bench(monkeypatch):
    """Modules of bench/, by name."""
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    import families
    import growth
    import plots

    return SimpleNamespace(families=families, growth=growth, plots=plots)


def row(case, seconds, flops=1.0, moved=1.0, **ratios):
    timed = {"kernelgrad": {"best": seconds}, "numpy": {"best": 2 * seconds}}
    return {
        "case": case,
        "dtype": "float32",
        "flops": flops,
        "bytes": moved,
        "seconds": timed,
        "ratios": {rival: list(values) for rival, values in ratios.items()},
    }


def test_a_cliff_is_a_size_that_costs_more_than_the_one_before(bench):
    growth = bench.growth.GROWTHS[0]
    rows = [row(str(n), 1e-9 * n**3) for n in growth.sizes]
    assert list(bench.growth.cliffs(growth, rows)) == []
    at = growth.sizes.index(512)
    rows[at]["seconds"]["kernelgrad"]["best"] *= 1.6
    assert list(bench.growth.cliffs(growth, rows)) == [
        "Product of n x n: 512 costs 1.60 times as much per unit as 511"
    ]


def test_sizes_are_powers_of_two_and_their_neighbours(bench):
    for growth in bench.growth.GROWTHS:
        assert list(growth.sizes) == sorted(set(growth.sizes))
        assert {n for n in growth.sizes if n & (n - 1) == 0} <= {
            m + step for m in growth.sizes for step in (-1, 1)
        }


def test_means_are_of_the_better_rival_round_by_round(bench):
    family = next(f for f in bench.families.FAMILIES if f.name.endswith("float32"))
    rows = [
        row("matmul 64", 1.0, numpy=[1.0, 4.0], torch=[2.0, 2.0]),
        row("matmul 128", 1.0, numpy=[4.0, 8.0], torch=[9.0, 8.0]),
        row("batch of 512 4x4", 1.0, numpy=[0.5, 0.25], torch=[1.0, 1.0]),
    ]
    means = {mean.name: mean for mean in bench.families.means(family, rows)}
    square, every = (means[f"{family.name}: {name}"] for name in ("square", "all"))
    assert square.lines == 2 and square.ratios == pytest.approx([2.0, 4.0])
    assert every.ratios == pytest.approx([2.0 ** (1 / 3), 4.0 ** (1 / 3)])
    assert list(bench.families.shortfalls(family, rows, 1.0)) == [
        "batch of 512 4x4: 0.38, aim 0.95"
    ]


def test_a_gradient_is_beside_its_forward_pass(bench):
    family = next(f for f in bench.families.FAMILIES if f.name == "Convolutions")
    rows = [row(f"{part} layer", t) for part, t in (("forward", 1.0), ("grad_input", 2.0))]
    assert list(bench.families.shortfalls(family, rows, 1.0)) == [
        "grad_input layer: 0.50 of the forward pass's rate, aim 0.70"
    ]


def test_plots_of_the_same_figures_are_the_same_text(bench, tmp_path):
    pytest.importorskip("matplotlib")
    growth = bench.growth.GROWTHS[0]
    rows = [row(str(n), 1e-9 * n**3, 2.0 * n**3, 12.0 * n**2) for n in growth.sizes]
    report = SimpleNamespace(peaks={"float32_gflops": 100.0, "copy_gbytes": 10.0})
    texts = []
    for folder in (tmp_path / "once", tmp_path / "again"):
        bench.plots.growth(growth, rows, folder / "growth.svg")
        bench.plots.roofline("products", rows, report, folder / "roofline.svg")
        bench.plots.bandwidth("sums", rows, report, folder / "bandwidth.svg")
        texts.append([path.read_text() for path in sorted(folder.iterdir())])
    assert texts[0] == texts[1] and len(texts[0]) == 3
    assert all("kernelgrad" in text for text in texts[0])
