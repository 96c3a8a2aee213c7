"""Metrics of motion and of pictures, over sets of clips and spectra, and their report.

In: candidates and references with the same names. Out: numbers with units, curves, a table, a page.
Law: the distance of a set to itself is 0.
"""
