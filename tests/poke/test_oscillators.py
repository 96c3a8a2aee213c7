import math

import pytest
import torch

from gid_core.poke.oscillators import rayleigh, step

OMEGA = torch.tensor([1.3, 4.0, 20.0], dtype=torch.float64)
DAMPING = [0.0, 0.05, 0.999999, 1.0, 1.000001, 4.0]


def state_matrix(omega, damping):
    return torch.tensor([[0, 1], [-(omega**2), -2 * damping * omega]], dtype=torch.float64)


@pytest.mark.parametrize("damping", DAMPING)
@pytest.mark.parametrize("dt", [1e-3, 0.1, 1.0])
def test_a_free_step_is_the_matrix_exponential(damping, dt):
    q = torch.tensor([1.0 + 0.5j, -0.2j, 0.3], dtype=torch.complex128)
    velocity = torch.tensor([0.1, 2.0 - 1j, -4.0], dtype=torch.complex128)
    moved, faster = step(q, velocity, OMEGA, torch.full_like(OMEGA, damping), dt)
    for k, omega in enumerate(OMEGA.tolist()):
        exact = torch.matrix_exp(dt * state_matrix(omega, damping)) + 0j
        expected = exact @ torch.stack([q[k], velocity[k]])
        assert torch.allclose(torch.stack([moved[k], faster[k]]), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("damping", [0.05, 1.0, 3.0])
def test_a_step_under_a_linear_force_is_exact(damping):
    # It is the free motion of a larger system, whose state is (q, q', force, slope).
    dt, zeta = 0.7, torch.full_like(OMEGA, damping)
    first = torch.tensor([0.4, -1.0, 2.0 + 1j], dtype=torch.complex128)
    last = torch.tensor([-0.6, 0.5j, 2.5], dtype=torch.complex128)
    q, velocity = torch.ones(3, dtype=torch.complex128), torch.zeros(3, dtype=torch.complex128)
    moved, faster = step(q, velocity, OMEGA, zeta, dt, first, last)
    for k, omega in enumerate(OMEGA.tolist()):
        matrix = torch.zeros(4, 4, dtype=torch.float64)
        matrix[:2, :2] = state_matrix(omega, damping)
        matrix[1, 2], matrix[2, 3] = omega**2, 1
        start = torch.stack([q[k], velocity[k], first[k], (last[k] - first[k]) / dt])
        expected = (torch.matrix_exp(dt * matrix) + 0j) @ start
        assert torch.allclose(
            torch.stack([moved[k], faster[k]]), expected[:2], rtol=1e-6, atol=1e-8
        )


@pytest.mark.parametrize("damping", [0.03, 0.7, 1.0, 5.0])
def test_two_steps_are_one(damping):
    zeta = torch.full_like(OMEGA, damping)
    q, velocity = torch.ones(3, dtype=torch.complex128), torch.ones(3, dtype=torch.complex128)
    once = step(q, velocity, OMEGA, zeta, 0.5)
    twice = step(*step(q, velocity, OMEGA, zeta, 0.2), OMEGA, zeta, 0.3)
    assert torch.allclose(torch.stack(once), torch.stack(twice), atol=1e-9)


@pytest.mark.parametrize("dt", [1e-3, 1 / 30, 1.0])
@pytest.mark.parametrize("damping", [0.0, 0.05, 1.0, 4.0])
def test_free_energy_never_grows(dt, damping):
    zeta = torch.full_like(OMEGA, damping)
    q, velocity = torch.ones(3, dtype=torch.complex128), -2 * torch.ones(3, dtype=torch.complex128)
    before = None
    for _ in range(50):
        energy = OMEGA.square() * q.abs().square() + velocity.abs().square()
        assert before is None or (energy <= before * (1 + 1e-9) + 1e-12).all()
        before = energy
        q, velocity = step(q, velocity, OMEGA, zeta, dt)


def test_a_constant_force_holds_its_static_response():
    q = torch.zeros(3, dtype=torch.complex128)
    force = torch.tensor([1.0, 2j, -0.5], dtype=torch.complex128)
    held, velocity = step(q, q, OMEGA, torch.full_like(OMEGA, 0.4), 100.0, force, force)
    assert torch.allclose(held, force, atol=1e-9) and velocity.abs().max() < 1e-9


def test_rayleigh_damping_gives_the_ratios_of_the_paper():
    # 0.21 / 0.18 / 0.28 / 0.52 / 0.76 at 0.2 / 0.4 / 1 / 2 / 3 Hz, and past 1 above 3.95 Hz.
    omega = 2 * math.pi * torch.tensor([0.2, 0.4, 1.0, 2.0, 3.0, 3.9, 4.0])
    ratio = rayleigh(omega, 0.4, 0.08)
    assert torch.allclose(ratio[:5], torch.tensor([0.21, 0.18, 0.28, 0.52, 0.76]), atol=0.006)
    assert ratio[5] < 1 < ratio[6]
