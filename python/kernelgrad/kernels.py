"""Kernels on raw arrays: no Tensor, no autograd.

Every function takes float32 or float64 arrays (several of one dtype) and returns a new array, or
fills `out=`. On the CPU an array is a numpy.ndarray, whatever has Python's buffer protocol
(array.array, memoryview), or another library's array with DLPack (PyTorch, JAX); on a CUDA device
it is CuPy's, or has __cuda_array_interface__ or DLPack. None is copied, and an `out=` of any of
these kinds is filled where it lies and returned. Arguments are checked before anything is written.
The type of the first array chooses between the modules _cpu and _cuda, natively, so that a call
costs no Python layer; `help(kernels.matmul)` and the like show each contract.

>>> import numpy as np
>>> from kernelgrad import kernels
>>> x, one = np.zeros(2, np.float32), np.ones(2, np.float32)
>>> image, filters = np.ones((1, 1, 3, 3), np.float32), np.ones((1, 1, 2, 2), np.float32)

>>> kernels.empty((2, 3), np.dtype(np.float64)).shape
(2, 3)
>>> kernels.add(one, one), kernels.subtract(x, one)
(array([2., 2.], dtype=float32), array([-1., -1.], dtype=float32))
>>> kernels.multiply(one, one), kernels.divide(x, one)
(array([1., 1.], dtype=float32), array([0., 0.], dtype=float32))
>>> kernels.exp(x, out=np.empty_like(x)), kernels.exp_grad(one, one)
(array([1., 1.], dtype=float32), array([1., 1.], dtype=float32))
>>> kernels.log(one), kernels.log_grad(one, one)
(array([0., 0.], dtype=float32), array([1., 1.], dtype=float32))
>>> kernels.tanh(x), kernels.tanh_grad(one, x)
(array([0., 0.], dtype=float32), array([1., 1.], dtype=float32))
>>> kernels.sigmoid(x), kernels.sigmoid_grad(one, one)
(array([0.5, 0.5], dtype=float32), array([0., 0.], dtype=float32))
>>> kernels.relu(-one), kernels.relu_grad(one, one)
(array([0., 0.], dtype=float32), array([1., 1.], dtype=float32))
>>> kernels.leaky_relu(-one, 0.5), kernels.leaky_relu_grad(one, -one, 0.5)
(array([-0.5, -0.5], dtype=float32), array([0.5, 0.5], dtype=float32))
>>> kernels.elu(one), kernels.elu_grad(one, one)
(array([1., 1.], dtype=float32), array([1., 1.], dtype=float32))
>>> kernels.gelu(x), kernels.gelu_grad(one, x)
(array([0., 0.], dtype=float32), array([0.5, 0.5], dtype=float32))
>>> kernels.silu(x), kernels.silu_grad(one, x)
(array([0., 0.], dtype=float32), array([0.5, 0.5], dtype=float32))
>>> kernels.softplus(x - 1000), kernels.softplus_grad(one, x)
(array([0., 0.], dtype=float32), array([0.5, 0.5], dtype=float32))
>>> kernels.mish(x), kernels.mish_grad(one, x + 1000)
(array([0., 0.], dtype=float32), array([1., 1.], dtype=float32))
>>> kernels.sum(one), kernels.mean(one)
(array(2., dtype=float32), array(1., dtype=float32))
>>> kernels.max(x), kernels.min(x), kernels.var(x)
(array(0., dtype=float32), array(0., dtype=float32), array(0., dtype=float32))
>>> kernels.softmax(x), kernels.softmax_grad(one, one)
(array([0.5, 0.5], dtype=float32), array([-1., -1.], dtype=float32))
>>> kernels.log_softmax(np.float32([1000, 0])), kernels.log_softmax_grad(x, x)
(array([    0., -1000.], dtype=float32), array([0., 0.], dtype=float32))
>>> kernels.matmul(one, -one, bias=None, activation="relu")
array(0., dtype=float32)

>>> out = kernels.conv2d(image, filters)
>>> out.tolist()
[[[[4.0, 4.0], [4.0, 4.0]]]]
>>> kernels.conv2d_grad_input(out, filters, (3, 3)).shape
(1, 1, 3, 3)
>>> kernels.conv2d_grad_weight(out, image, 2).shape, kernels.conv2d_grad_bias(out)
((1, 1, 2, 2), array([16.], dtype=float32))
>>> pooled, indices = kernels.max_pool2d(image, 3)
>>> float(kernels.max_pool2d_grad(pooled, indices, (3, 3)).sum())
1.0
>>> kernels.avg_pool2d_grad(kernels.avg_pool2d(image, 2), (3, 3), 2).shape
(1, 1, 3, 3)

>>> logits, targets = np.float32([[1000, 0]]), np.array([1])
>>> kernels.softmax_cross_entropy_with_grad(logits, targets)
(array(1000., dtype=float32), array([[ 1., -1.]], dtype=float32))
>>> loss, lse = kernels.softmax_cross_entropy(logits, targets, return_lse=True)
>>> kernels.softmax_cross_entropy_grad(np.float32(1), logits, targets, lse)
array([[ 1., -1.]], dtype=float32)

>>> batch = np.float32([[0, 1], [2, 3]])
>>> out, mean, var = kernels.batch_norm(batch, eps=0.0)
>>> out.tolist(), mean, var
([[-1.0, -1.0], [1.0, 1.0]], array([1., 2.], dtype=float32), array([1., 1.], dtype=float32))
>>> kernels.batch_norm_inference(batch, mean, var, eps=0.0).tolist() == out.tolist()
True
>>> kernels.batch_norm_grad(batch, batch, mean, var, eps=0.0)[1:]
(array([2., 2.], dtype=float32), array([2., 4.], dtype=float32))
>>> out, mean, var = kernels.group_norm(batch, 1, eps=0.0)
>>> kernels.group_norm_grad(batch, batch, 1, mean, var, eps=0.0, needs=(False, True, False))
(None, array([-2.,  4.], dtype=float32), None)
>>> out, mean, var = kernels.layer_norm(batch, 2, eps=0.0)
>>> kernels.layer_norm_grad(batch, batch, 2, mean, var, eps=0.0)[2]
array([2., 4.], dtype=float32)
>>> out, mean_square = kernels.rms_norm(batch + 1, 2, eps=0.0)
>>> mean_square, kernels.rms_norm_grad(batch, batch + 1, 2, mean_square)[0].shape
(array([ 2.5, 12.5], dtype=float32), (2, 2))

>>> kernels.sgd_step([x], [one], lr=0.5)
>>> x
array([-0.5, -0.5], dtype=float32)
>>> moments = dict(exp_avgs=[np.zeros_like(x)], exp_avg_sqs=[np.zeros_like(x)])
>>> options = dict(beta1=0.9, beta2=0.99, eps=0.0, weight_decay=0.0, decoupled=False)
>>> kernels.adam_step([x], [one], **moments, lr=0.5, step=1, **options)
>>> x
array([-1., -1.], dtype=float32)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from kernelgrad import _cpu, device_arrays

if TYPE_CHECKING:
    _Function = TypeVar("_Function", bound=Callable[..., Any])

    def _either(function: _Function) -> _Function: ...

else:

    def _either(function):
        """The function of either module, by its name in _cpu."""
        return _cpu.by_array_type(function, device_arrays.call_kernel)


# --- memory ---
empty = _cpu.empty

# --- arithmetic: NumPy's ufuncs, with a faster way for float arrays of one shape ---
add = _cpu.add
subtract = _cpu.subtract
multiply = _cpu.multiply
divide = _cpu.divide

# --- elementwise ---
exp = _either(_cpu.exp)
exp_grad = _either(_cpu.exp_grad)
log = _either(_cpu.log)
log_grad = _either(_cpu.log_grad)
tanh = _either(_cpu.tanh)
tanh_grad = _either(_cpu.tanh_grad)
sigmoid = _either(_cpu.sigmoid)
sigmoid_grad = _either(_cpu.sigmoid_grad)
relu = _either(_cpu.relu)
relu_grad = _either(_cpu.relu_grad)
leaky_relu = _either(_cpu.leaky_relu)
leaky_relu_grad = _either(_cpu.leaky_relu_grad)
elu = _either(_cpu.elu)
elu_grad = _either(_cpu.elu_grad)
gelu = _either(_cpu.gelu)
gelu_grad = _either(_cpu.gelu_grad)
silu = _either(_cpu.silu)
silu_grad = _either(_cpu.silu_grad)
softplus = _either(_cpu.softplus)
softplus_grad = _either(_cpu.softplus_grad)
mish = _either(_cpu.mish)
mish_grad = _either(_cpu.mish_grad)

# --- reductions ---
sum = _either(_cpu.sum)
mean = _either(_cpu.mean)
max = _either(_cpu.max)
min = _either(_cpu.min)
var = _either(_cpu.var)

# --- conv2d ---
conv2d = _either(_cpu.conv2d)
conv2d_grad_input = _either(_cpu.conv2d_grad_input)
conv2d_grad_weight = _either(_cpu.conv2d_grad_weight)
conv2d_grad_bias = _either(_cpu.conv2d_grad_bias)

# --- pool2d ---
max_pool2d = _either(_cpu.max_pool2d)
max_pool2d_grad = _either(_cpu.max_pool2d_grad)
avg_pool2d = _either(_cpu.avg_pool2d)
avg_pool2d_grad = _either(_cpu.avg_pool2d_grad)

# --- softmax and cross-entropy ---
softmax = _either(_cpu.softmax)
softmax_grad = _either(_cpu.softmax_grad)
log_softmax = _either(_cpu.log_softmax)
log_softmax_grad = _either(_cpu.log_softmax_grad)
softmax_cross_entropy = _either(_cpu.softmax_cross_entropy)
softmax_cross_entropy_grad = _either(_cpu.softmax_cross_entropy_grad)
softmax_cross_entropy_with_grad = _either(_cpu.softmax_cross_entropy_with_grad)

# --- normalization ---
batch_norm = _either(_cpu.batch_norm)
batch_norm_inference = _either(_cpu.batch_norm_inference)
batch_norm_grad = _either(_cpu.batch_norm_grad)
group_norm = _either(_cpu.group_norm)
group_norm_grad = _either(_cpu.group_norm_grad)
layer_norm = _either(_cpu.layer_norm)
layer_norm_grad = _either(_cpu.layer_norm_grad)
rms_norm = _either(_cpu.rms_norm)
rms_norm_grad = _either(_cpu.rms_norm_grad)

# --- matrix product ---
matmul = _either(_cpu.matmul)

# --- optimizer steps, in place on lists of arrays ---
sgd_step = _either(_cpu.sgd_step)
adam_step = _either(_cpu.adam_step)
