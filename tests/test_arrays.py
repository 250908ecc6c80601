"""The test arrays have the layouts that they are named for."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from arrays import LAYOUTS, GuardedOutput, laid_out


@pytest.mark.parametrize("layout", LAYOUTS)
def test_laid_out_keeps_the_values(layout, dtype):
    values = np.arange(60, dtype=dtype).reshape(3, 4, 5)
    array = laid_out(values, layout)
    np.testing.assert_array_equal(array, values)
    assert array.flags.c_contiguous == (layout in ("contiguous", "misaligned", "readonly"))
    assert array.flags.aligned == (layout != "misaligned")
    assert array.flags.writeable == (layout != "readonly")
    assert all(stride < 0 for stride in array.strides) == (layout == "negative")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (1, 1)])
def test_laid_out_takes_every_shape(layout, shape):
    assert laid_out(np.ones(shape, np.float32), layout).shape == shape


@pytest.mark.parametrize(("step", "side"), [(-1, "before"), (6, "past")])
def test_guarded_output_notices_a_stray_write(step, side):
    output = GuardedOutput((2, 3), np.float32)
    assert np.all(np.isnan(output.array))
    output.array[...] = 0
    output.check()
    stray = output.array.ctypes.data + step * output.array.itemsize
    ctypes.c_float.from_address(stray).value = 1.0
    with pytest.raises(AssertionError, match=f"wrote {side} its output"):
        output.check()
