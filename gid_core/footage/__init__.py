"""Recorded clips: reading them, optical flow, camera motion, and the spectral volume of what moves.

In: a video file or frames. Out: a spectral volume with mean and drift, a mask of what moves, a report.
Law: flow goes from frame 0 to every frame directly, never summed; what stands still is exactly 0.
"""
