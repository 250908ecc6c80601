"""Kernels on raw arrays: NumPy arrays in and out, no Tensor, no autograd.

Every function takes float32 or float64 arrays (several of one dtype) and returns a new array, or
fills `out=`. Arguments are checked before anything is written. Each name is the native function
itself, so a call costs no Python layer; `help(kernels.matmul)` and the like show its contract.
"""

from kernelgrad import _cpu

# --- memory ---
empty = _cpu.empty

# --- elementwise ---
exp = _cpu.exp
exp_grad = _cpu.exp_grad
log = _cpu.log
log_grad = _cpu.log_grad
tanh = _cpu.tanh
tanh_grad = _cpu.tanh_grad
sigmoid = _cpu.sigmoid
sigmoid_grad = _cpu.sigmoid_grad
relu = _cpu.relu
relu_grad = _cpu.relu_grad
leaky_relu = _cpu.leaky_relu
leaky_relu_grad = _cpu.leaky_relu_grad
elu = _cpu.elu
elu_grad = _cpu.elu_grad
gelu = _cpu.gelu
gelu_grad = _cpu.gelu_grad
silu = _cpu.silu
silu_grad = _cpu.silu_grad
softplus = _cpu.softplus
softplus_grad = _cpu.softplus_grad
mish = _cpu.mish
mish_grad = _cpu.mish_grad

# --- reductions ---
sum = _cpu.sum
mean = _cpu.mean
max = _cpu.max
min = _cpu.min
var = _cpu.var

# --- conv2d ---
conv2d = _cpu.conv2d
conv2d_grad_input = _cpu.conv2d_grad_input
conv2d_grad_weight = _cpu.conv2d_grad_weight
conv2d_grad_bias = _cpu.conv2d_grad_bias

# --- pool2d ---
max_pool2d = _cpu.max_pool2d
max_pool2d_grad = _cpu.max_pool2d_grad
avg_pool2d = _cpu.avg_pool2d
avg_pool2d_grad = _cpu.avg_pool2d_grad

# --- softmax and cross-entropy ---
softmax = _cpu.softmax
softmax_grad = _cpu.softmax_grad
log_softmax = _cpu.log_softmax
log_softmax_grad = _cpu.log_softmax_grad
softmax_cross_entropy = _cpu.softmax_cross_entropy
softmax_cross_entropy_grad = _cpu.softmax_cross_entropy_grad
softmax_cross_entropy_with_grad = _cpu.softmax_cross_entropy_with_grad

# --- matrix product ---
matmul = _cpu.matmul

# --- optimizer steps, in place on lists of arrays ---
sgd_step = _cpu.sgd_step
adam_step = _cpu.adam_step
