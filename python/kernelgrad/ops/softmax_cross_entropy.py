"""softmax_cross_entropy: where the exponentials are at hand, the gradient is made with the loss.

That is on the CPU. On a device, or where each position has an upstream gradient of its own, each
row's log-sum-exp is saved instead.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kernelgrad import kernels
from kernelgrad.autograd import record, records, saves
from kernelgrad.ops.arithmetic import multiply, subtract
from kernelgrad.ops.promotion import floating
from kernelgrad.ops.shape import reshape
from kernelgrad.ops.softmax import softmax
from kernelgrad.tensor import Tensor, make_tensor, to_array


@saves(0)
def _softmax_cross_entropy_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    logits, targets, lse, made, options = saved
    if isinstance(grad_out, Tensor):
        return (_composed_gradient(grad_out, logits, targets, **options), None)
    if lse is not None:
        return (kernels.softmax_cross_entropy_grad(grad_out, logits, targets, lse, **options), None)
    try:
        grad = made.pop()  # once, for whoever gets it owns it; a second pass makes its own
    except IndexError:
        grad = kernels.softmax_cross_entropy_with_grad(logits, targets, **options)[1]
    return (grad if grad_out == 1 else np.multiply(grad, grad_out, out=grad), None)


def softmax_cross_entropy(
    logits: Any,
    targets: Any,
    weight: Any = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Any:
    """-log softmax(logits)[targets], PyTorch's cross_entropy.

    Shapes: logits (N, C, ...) or (C,), targets integer without the class axis, or floating with it
    -> scalar for reduction "mean" (weighted) and "sum", targets' rows for "none".
    Gradient: (softmax(logits) - target distribution), weighted; none for targets and weight.
    Numerics: subtracts the row maximum; never forms log(0).
    Raises: IndexError if a target is outside [0, C) and not ignore_index, naming the first one;
    RuntimeError if targets or weight require grad.
    Reference: Milakov & Gimelshein, arXiv:1805.02867.
    """
    logits = floating("softmax_cross_entropy", logits)
    raw = logits._data if isinstance(logits, Tensor) else logits
    for name, value in (("targets", targets), ("weight", weight)):
        if isinstance(value, Tensor) and value._requires_grad:
            raise RuntimeError(
                f"softmax_cross_entropy: {name} require grad but get no gradient; call "
                ".detach() on them."
            )
    raw_targets = to_array(targets, "softmax_cross_entropy")
    if raw_targets.dtype.kind == "f":
        raw_targets = raw_targets.astype(raw.dtype, copy=False)
    options: dict[str, Any] = {
        "weight": None
        if weight is None
        else to_array(weight, "softmax_cross_entropy").astype(raw.dtype, copy=False),
        "ignore_index": ignore_index,
        "label_smoothing": label_smoothing,
        "reduction": reduction,
    }
    if not records(logits):
        loss = kernels.softmax_cross_entropy(raw, raw_targets, **options)
        return make_tensor(loss) if isinstance(logits, Tensor) else loss
    lse, made = None, []
    if raw.__class__ is np.ndarray and reduction != "none":
        loss, grad = kernels.softmax_cross_entropy_with_grad(raw, raw_targets, **options)
        made.append(grad)
    else:
        loss, lse = kernels.softmax_cross_entropy(raw, raw_targets, return_lse=True, **options)
    saved = (raw, raw_targets, lse, made, options)
    return record(loss, _softmax_cross_entropy_vjp, (logits, targets), saved)


def _composed_gradient(
    grad_out: Tensor,
    logits: Any,
    targets: Any,
    weight: Any,
    ignore_index: int,
    label_smoothing: float,
    reduction: str,
) -> Any:
    """The gradient from differentiable operations: grad_out * (softmax(logits) * sum(q) - q), where
    q holds what each class's -log p weighs in the loss of its row."""
    axis = 1 if logits.ndim > 1 else 0
    classes, dtype = logits.shape[axis], logits.dtype
    row_shape = tuple([1 if i == axis else n for i, n in enumerate(logits.shape)])
    raw = logits._data if isinstance(logits, Tensor) else logits
    of_class = np.ones(classes, dtype, like=raw) if weight is None else weight
    of_class = of_class.reshape([classes if i == axis else 1 for i in range(logits.ndim)])
    rows = logits.size // max(classes, 1)
    if targets.dtype.kind == "f":
        q = of_class * ((1 - label_smoothing) * targets + label_smoothing / classes)
        total: Any = rows
    else:
        labels = targets.reshape(row_shape)
        counted = labels != ignore_index
        hot = np.arange(classes, like=raw).reshape(of_class.shape) == labels
        q = of_class * ((1 - label_smoothing) * hot + label_smoothing / classes) * counted
        total = np.sum(of_class * hot * counted)
    q = q.astype(dtype, copy=False)
    difference = subtract(multiply(softmax(logits, axis), q.sum(axis, keepdims=True)), q)
    if reduction == "none":
        return multiply(reshape(grad_out, row_shape), difference)
    scale = 1.0 / float(total) if reduction == "mean" else 1.0
    return multiply(multiply(grad_out, scale), difference)
