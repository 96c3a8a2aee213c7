"""Poking a still: gestures, damped oscillators, and what the browser needs to show the same.

In: gestures as JSON, a spectral volume of modes or of bands. Out: modal coordinates, exact in time.
Law: without force energy never grows, at any step; browser and Python compute the same.
"""
