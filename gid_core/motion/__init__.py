"""The spectral volume S, the modal coordinates q(t), and D(p, t) = Re sum_k S_k(p) q_k(t).

In: complex amplitudes for every pixel and band, wherever they come from. Out: displacements of any
length, frame rate and speed; loops; the same motion on another still; and the wind that drives it.
Law: D is linear in S, and exactly periodic where all frequencies are harmonics of 1 / T.
"""
