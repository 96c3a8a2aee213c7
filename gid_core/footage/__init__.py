"""Recorded clips: decoding, optical flow, camera motion, and the spectral volume of the motion.

In: a video file or frames. Out: a spectral volume with mean and drift, a moving mask, a report.
Law: flow goes from frame 0 to every frame directly, never summed; a static pixel has exactly 0.
"""
