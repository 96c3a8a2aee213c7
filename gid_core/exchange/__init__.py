"""Motion for other programs, and motion from them: tracks, flow, maps and guides for video models.

In: a still and its displacement; tracks or flow of another tool. Out: tracks, dense fields, crude
clips; a spectral volume. Law: what goes out and comes back is the same motion.
"""
