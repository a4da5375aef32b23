"""The world that the tiny model draws: scenes of one or two shapes, their captions, their pictures, their scores.

Needs numpy, Pillow and SciPy alone, so that the library's tests can read pictures without PyTorch.
"""
