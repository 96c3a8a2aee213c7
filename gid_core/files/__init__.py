"""Spectra, weights, stills and clips on disk.

In and out: the files themselves. A write is atomic: to a temporary file first, which is then moved.
Law: load(save(x)) = x. A file from elsewhere is checked before use, and nothing is unpickled.
"""
