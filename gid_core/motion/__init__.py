"""The spectral volume S, the modal coordinates q(t), and D(p, t) = Re sum_k S_k(p) q_k(t).

In: complex amplitudes of every pixel and band, from any source. Out: displacements of any length,
frame rate and speed; loops; the motion on another still, edited, combined, in time; cameras; wind.
Law: D is linear in S, and exactly periodic if all frequencies are multiples of 1 / T.
"""
