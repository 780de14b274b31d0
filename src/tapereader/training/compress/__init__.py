"""Make a finished network smaller or faster: fewer bits, fewer heads, fewer layers, another network taught by it.

One subject a module. What comes out is judged, measured and written by :mod:`tapereader.recipes.optimize`.
"""
