"""Poking a still: gestures, damped oscillators, and the data with which a browser shows the same.

In: gestures as JSON, a spectral volume of modes or of bands. Out: modal coordinates, exact in time.
Law: without a force the energy never grows, for any time step; browser and Python compute the same.
"""
