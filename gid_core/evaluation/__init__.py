"""Measures of motion and of pictures, over sets of clips and spectra, and the report of them.

In: candidates and references of the same names. Out: numbers with units, curves, a table, a page.
Law: a thing measured against itself has distance 0.
"""
