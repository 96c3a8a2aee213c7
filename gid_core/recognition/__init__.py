"""What things are: per place of a still, what may sway, what flows, of which kind it is, how far it
goes.

In: a still b c h w in [0, 1]. Out: maps at its size.
Law: the same still and weights give the same maps.
"""
