"""Verbs that cross floors: each takes what was asked for and returns what was done.

A recipe wires the folders below it and does no arithmetic of its own. Import one from its file: ``recipes.data``.
"""
