"""What flows and does not come back: water, clouds, smoke, flames.

In: a still, a mask, a direction or strokes. Out: a spectral volume of kind "flow", which holds a
velocity; and of it a displacement of two phases that loops.
Law: where sources are excluded, the divergence of the velocity is zero in every grid square.
"""
