"""Spectra, weights, stills and clips on disk.

In and out: the files themselves. Writing is whole or not at all: beside its place first, then moved.
Law: load(save(x)) = x; a file from elsewhere is checked before it is used, and nothing is unpickled.
"""
