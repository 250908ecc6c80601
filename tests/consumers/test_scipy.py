"""SciPy with SCIPY_ARRAY_API=1: functions from each of its modules that support the standard."""

from __future__ import annotations

import numpy as np
import pytest

import kernelgrad as kg

pytest.importorskip("scipy", minversion="1.16")

from scipy import cluster, differentiate, fft, integrate, ndimage, optimize, signal, special, stats
from scipy.spatial.transform import Rotation

FUNCTIONS = {
    "cluster.vq": lambda x: cluster.vq.vq(x, x[:2, :])[1],
    "cluster.whiten": lambda x: cluster.vq.whiten(x),
    "differentiate.derivative": lambda x: differentiate.derivative(lambda t: t * t * t, x).df,
    "fft.fft": lambda x: fft.fft(x),
    "fft.rfft": lambda x: fft.rfft(x, axis=0),
    "fft.dct": lambda x: fft.dct(x),
    "fft.fftshift": lambda x: fft.fftshift(x),
    "integrate.trapezoid": lambda x: integrate.trapezoid(x),
    "integrate.cumulative": lambda x: integrate.cumulative_trapezoid(x),
    "ndimage.gaussian_filter": lambda x: ndimage.gaussian_filter(x, 1),
    "ndimage.uniform_filter": lambda x: ndimage.uniform_filter(x, 3),
    "optimize.rosen": lambda x: optimize.rosen(x[0, :]),
    "signal.convolve": lambda x: signal.convolve(x, x),
    "signal.fftconvolve": lambda x: signal.fftconvolve(x, x),
    "signal.detrend": lambda x: signal.detrend(x),
    "spatial.Rotation": lambda x: Rotation.from_quat(x[:, :4]).as_matrix(),
    "special.erf": lambda x: special.erf(x),
    "special.gammaln": lambda x: special.gammaln(x),
    "special.log_softmax": lambda x: special.log_softmax(x, axis=0),
    "special.logsumexp": lambda x: special.logsumexp(x, axis=1),
    "special.rel_entr": lambda x: special.rel_entr(x, x * 2),
    "special.softmax": lambda x: special.softmax(x, axis=1),
    "special.xlogy": lambda x: special.xlogy(x, x),
    "stats.describe": lambda x: stats.describe(x).variance,
    "stats.entropy": lambda x: stats.entropy(x),
    "stats.gmean": lambda x: stats.gmean(x),
    "stats.kurtosis": lambda x: stats.kurtosis(x, axis=0),
    "stats.moment": lambda x: stats.moment(x, order=3),
    "stats.pearsonr": lambda x: stats.pearsonr(x[0, :], x[1, :]).statistic,
    "stats.rankdata": lambda x: stats.rankdata(x, axis=1),
    "stats.skew": lambda x: stats.skew(x, axis=0),
    "stats.ttest_1samp": lambda x: stats.ttest_1samp(x, 0.5).statistic,
    "stats.zscore": lambda x: stats.zscore(x),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_scipy(name, rng):
    x = rng.uniform(0.1, 1.0, (6, 8))
    expected = np.asarray(FUNCTIONS[name](x))
    found = FUNCTIONS[name](kg.asarray(x))
    assert isinstance(found, kg.Tensor)
    scale = np.abs(expected).max()
    assert np.abs(found.numpy() - expected).max() <= 4096 * np.finfo(float).eps * scale
