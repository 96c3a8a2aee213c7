"""A picture, prepared once: grid, alpha, matte, background.

In: a picture b c h w in [0, 1], and a mask as someone painted it. Out: colours times alpha, a matte
in [0, 1] that fits the picture, and the background with the moving thing filled in.
Law: where the matte is 0, the background is the picture itself.
"""
