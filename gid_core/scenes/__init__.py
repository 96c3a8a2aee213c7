"""Synthetic scenes with exactly known motion, for training and for measuring.

In: a seed and a kind (trees, grass, lanterns, cloth, candles ...). Out: frames, a mask, the exact
displacement and the spectral volume of every pixel.
Law: frame t shows every point of the still at the place that the exact displacement gives.
"""
