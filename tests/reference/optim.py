"""The optimizers' formulas for one parameter at a time, in float64 NumPy."""

from __future__ import annotations

import numpy as np


class SGD:
    def __init__(
        self, lr, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, maximize=False
    ):
        self.options = (lr, momentum, dampening, weight_decay, nesterov, maximize)
        self.velocity = None

    def step(self, p, grad):
        lr, momentum, dampening, weight_decay, nesterov, maximize = self.options
        g = -grad if maximize else grad
        g = g + weight_decay * p
        if momentum != 0:
            first = self.velocity is None
            self.velocity = g if first else momentum * self.velocity + (1 - dampening) * g
            g = g + momentum * self.velocity if nesterov else self.velocity
        return p - lr * g


class Adam:
    def __init__(
        self, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, maximize=False, decoupled=False
    ):
        self.options = (lr, *betas, eps, weight_decay, maximize, decoupled)
        self.m = self.v = 0.0
        self.t = 0

    def step(self, p, grad):
        lr, beta1, beta2, eps, weight_decay, maximize, decoupled = self.options
        g = -grad if maximize else grad
        if decoupled:
            p = p * (1 - lr * weight_decay)
        else:
            g = g + weight_decay * p
        self.t += 1
        self.m = beta1 * self.m + (1 - beta1) * g
        self.v = beta2 * self.v + (1 - beta2) * g * g
        m_hat = self.m / (1 - beta1**self.t)
        v_hat = self.v / (1 - beta2**self.t)
        return p - lr * m_hat / (np.sqrt(v_hat) + eps)
