"""The terminal door: one verb a recipe, no logic of its own.

Starting it imports neither pandas nor a deep-learning library; a verb imports what it needs when it is called.
"""
