"""Damped oscillators, q'' + 2 zeta omega q' + omega^2 q = omega^2 s(t), stepped exactly.

Law: exact for any step and any damping, while the force s is a straight line in time; without force
the energy never grows.

Source: Davis et al. 2015; Rayleigh damping.
"""

import torch

from ..shapes import Complex, Float, Tensor


def rayleigh(omega: Float[Tensor, " k"], alpha: float, beta: float) -> Float[Tensor, " k"]:
    """Damping ratios of q'' + (alpha + beta omega^2) q' + omega^2 q = 0."""
    return (alpha + beta * omega.square()) / (2 * omega)


def propagator(
    omega: Float[Tensor, " k"], damping_ratio: Float[Tensor, " k"], dt: float
) -> tuple[Float[Tensor, " k"], Float[Tensor, " k"]]:
    """(c, s) of free motion: q(dt) = (c + zeta omega s) q + s q', q'(dt) = (c - zeta omega s) q' - omega^2 s q.

    c = e cos(omega_d dt) and s = e sin(omega_d dt) / omega_d with e = exp(-zeta omega dt), and what
    becomes of them where omega_d is zero or imaginary.
    """
    decay = damping_ratio * omega
    root = omega * (1 - damping_ratio.square()).abs().sqrt()
    turn, fade = root * dt, torch.exp(-decay * dt)
    # Past critical damping, both in terms of exp: cosh alone would overflow.
    slow = torch.exp(-omega.square() / (decay + root) * dt)
    fast = torch.exp(-(decay + root) * dt)
    rings = damping_ratio < 1
    c = torch.where(rings, fade * torch.cos(turn), (slow + fast) / 2)
    s = torch.where(rings, fade * torch.sin(turn), (slow - fast) / 2) / root.clamp(min=1e-30)
    return c, torch.where(turn < 1e-4, fade * dt, s)


def step(
    q: Complex[Tensor, " k"],
    velocity: Complex[Tensor, " k"],
    omega: Float[Tensor, " k"],
    damping_ratio: Float[Tensor, " k"],
    dt: float,
    first: Complex[Tensor, " k"] | None = None,
    last: Complex[Tensor, " k"] | None = None,
) -> tuple[Complex[Tensor, " k"], Complex[Tensor, " k"]]:
    """q and q' after dt, exactly, under a force that goes in a straight line from first to last.

    A force is given by where it would hold q for good, force / omega^2. None is no force.
    """
    c, s = propagator(omega, damping_ratio, dt)
    decay = damping_ratio * omega
    if first is not None and last is not None:
        # q = force - (2 zeta / omega) slope, q' = slope is one motion under it; the rest is free.
        slope = (last - first) / dt
        lag = 2 * damping_ratio / omega * slope
        q, velocity = q - first + lag, velocity - slope
    moved = (c + decay * s) * q + s * velocity
    velocity = (c - decay * s) * velocity - omega.square() * s * q
    if first is not None and last is not None:
        return moved + last - lag, velocity + slope
    return moved, velocity
