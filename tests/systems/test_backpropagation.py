"""The 2-3-1 sigmoid network trained by finite differences (T1.1) and by the chain rule (T1.2)."""

import numpy as np
import pytest

import kernelgrad as kg

# As in the text: the parameters are stored as float32, all arithmetic on them is in float64.
START = [
    np.array([[-0.0053, 0.3793], [-0.5820, -0.5204], [-0.2723, 0.1896]], np.float32).T,
    np.array([-0.0140, 0.5607, -0.0628], np.float32),
    np.array([[0.1528, -0.1745, -0.1135]], np.float32).T,
    np.array([-0.5516], np.float32),
]
AFTER_100 = [
    [[0.01424004, -0.5907864, -0.27549535], [0.39883757, -0.52918637, 0.18640439]],
    [0.00554004, 0.5519136, -0.06599568],
    [[0.3475135], [-0.05529078], [0.03760847]],
    [-0.22443289],
]
X, Y = np.array([[1.0, 1.0]]), np.array([[0.0]])
STEP, RATE, EPOCHS = 1e-4, 0.01, 100


def predict(w1, b1, w2, b2):
    hidden = 1 / (1 + kg.exp(-(kg.matmul(X, w1) + b1)))
    return kg.matmul(hidden, w2) + b2


def error(parameters):
    return kg.mean(kg.square(predict(*parameters) - Y))


def finite_difference_epoch(parameters):
    """Every weight nudged alone, as in the text; returns the new weights and the loss before."""
    loss = error(parameters).item()
    updated = [kg.tensor(p) for p in parameters]
    for i, parameter in enumerate(parameters):
        for index in np.ndindex(parameter.shape):
            nudged = [kg.tensor(p) for p in parameters]
            nudged[i][index] = nudged[i][index].item() + STEP
            slope = (error(nudged).item() - loss) / STEP
            updated[i][index] = updated[i][index].item() - RATE * slope
    return updated, loss


def test_t1_1_gradient_by_finite_differences():
    parameters = [kg.tensor(p) for p in START]
    losses = []
    for _ in range(EPOCHS):
        parameters, loss = finite_difference_epoch(parameters)
        losses.append(loss)
    assert f"{losses[0]:.8f}" == "0.33455009"
    for found, expected in zip(parameters, AFTER_100, strict=True):
        # The text shows NumPy's print, of eight decimals.
        assert found.dtype == kg.float32
        assert str(found.numpy()) == str(np.array(expected, np.float32))
    assert f"{predict(*parameters).item():.5f}" == "-0.01748"


def test_t1_2_the_same_by_the_chain_rule():
    parameters = [kg.tensor(p.astype(np.float64), requires_grad=True) for p in START]
    optimizer = kg.optim.SGD(parameters, lr=RATE)
    for _ in range(EPOCHS):
        optimizer.zero_grad()
        loss = error(parameters)
        loss.backward()
        optimizer.step()
    assert f"{loss.item():.7e}" == "3.2618714e-04"
    assert f"{predict(*parameters).item():.7f}" == "-0.0174362"
    for found, expected in zip(parameters, AFTER_100, strict=True):
        assert np.abs(found.detach().numpy() - expected).max() < STEP


@pytest.mark.parametrize("index", [0, 1, 2, 3])
def test_t1_both_ways_agree_on_the_first_gradient(index):
    """A difference over STEP is off by half of STEP times the second derivative."""
    parameters = [kg.tensor(p.astype(np.float64), requires_grad=True) for p in START]
    error(parameters).backward()
    gradient = parameters[index].grad.numpy()
    with kg.no_grad():
        for place in np.ndindex(gradient.shape):
            losses = []
            for sign in (1, -1):
                nudged = [kg.tensor(p.detach().numpy()) for p in parameters]
                nudged[index][place] += sign * STEP
                losses.append(error(nudged).item())
            slope = (losses[0] - losses[1]) / (2 * STEP)
            # Central difference: STEP^2 / 6 of the third derivative (all derivatives here are
            # below 10) and the rounding of the two losses.
            bound = 10 * STEP**2 / 6 + 4 * np.finfo(np.float64).eps / STEP
            assert abs(gradient[place] - slope) <= bound
