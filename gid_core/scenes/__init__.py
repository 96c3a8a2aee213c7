"""Synthetic scenes whose motion is known exactly, to train on and to measure by.

In: a seed and a kind (trees, grass, lanterns, cloth, candles ...). Out: frames, a mask, the exact
displacement and the spectral volume of every pixel.
Law: frame t shows every point of the still where the truth says it went.
"""
