"""The elastic prior: what is painted is elastic material that wind sets swaying, at every scale.

In: a still, a matte or objects, numbers or names of what it is and how the wind blows. Out: a
spectral volume, as bands of the motion in wind or as free modes to poke. No weights.
Law: K phi = omega^2 M phi; only ratios of stiffness to mass count, the size is set at the end.
"""
