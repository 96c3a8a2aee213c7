"""Damped oscillators, q'' + 2 zeta omega q' + omega^2 q = omega^2 s(t), stepped exactly.

Law: a step of any size and any damping is exact while the force s is linear in time. Without a
force the energy never grows.

Source: Davis et al. 2015; Rayleigh damping.
"""

import torch

from ..shapes import Complex, Float, Tensor


def rayleigh(omega: Float[Tensor, " k"], alpha: float, beta: float) -> Float[Tensor, " k"]:
    """Damping ratios of q'' + (alpha + beta omega^2) q' + omega^2 q = 0; omega in rad/s."""
    return (alpha + beta * omega.square()) / (2 * omega)


def propagator(
    omega: Float[Tensor, " k"], damping_ratio: Float[Tensor, " k"], dt: float
) -> tuple[Float[Tensor, " k"], Float[Tensor, " k"]]:
    """Coefficients (c, s) of free motion over dt seconds.

        q(dt)  = (c + zeta omega s) q + s q'
        q'(dt) = (c - zeta omega s) q' - omega^2 s q

    With omega_d = omega sqrt(1 - zeta^2) and e = exp(-zeta omega dt), c = e cos(omega_d dt) and
    s = e sin(omega_d dt) / omega_d. Where omega_d is zero or imaginary, c and s are the limits of
    these or their hyperbolic forms.
    """
    decay = damping_ratio * omega
    omega_d = omega * (1 - damping_ratio.square()).abs().sqrt()
    angle, envelope = omega_d * dt, torch.exp(-decay * dt)
    # Above critical damping both are written in exponentials: cosh alone would overflow.
    slow = torch.exp(-omega.square() / (decay + omega_d) * dt)
    fast = torch.exp(-(decay + omega_d) * dt)
    underdamped = damping_ratio < 1
    c = torch.where(underdamped, envelope * torch.cos(angle), (slow + fast) / 2)
    s = torch.where(underdamped, envelope * torch.sin(angle), (slow - fast) / 2)
    s = s / omega_d.clamp(min=1e-30)
    return c, torch.where(angle < 1e-4, envelope * dt, s)


def step(
    q: Complex[Tensor, " k"],
    velocity: Complex[Tensor, " k"],
    omega: Float[Tensor, " k"],
    damping_ratio: Float[Tensor, " k"],
    dt: float,
    first: Complex[Tensor, " k"] | None = None,
    last: Complex[Tensor, " k"] | None = None,
) -> tuple[Complex[Tensor, " k"], Complex[Tensor, " k"]]:
    """q and q' after dt seconds, exactly, under a force that goes linearly from first to last.

    A force is given by the static response q that it would hold, force / omega^2. None: no force.
    """
    c, s = propagator(omega, damping_ratio, dt)
    decay = damping_ratio * omega
    if first is not None and last is not None:
        # q = force - (2 zeta / omega) slope, q' = slope is a particular solution; the rest is free.
        slope = (last - first) / dt
        lag = 2 * damping_ratio / omega * slope
        q, velocity = q - first + lag, velocity - slope
    moved = (c + decay * s) * q + s * velocity
    velocity = (c - decay * s) * velocity - omega.square() * s * q
    if first is not None and last is not None:
        return moved + last - lag, velocity + slope
    return moved, velocity
