"""The elastic prior: a masked still is a sheet of elastic material that wind sets swaying.

In: a still, a matte, numbers of material and wind. Out: a spectral volume, as bands of the motion in
wind or as free modes to poke. No weights.
Law: K phi = omega^2 M phi; only ratios of stiffness to mass count, the size is set at the end.
"""
