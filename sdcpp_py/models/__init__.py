"""Models: their families, what a file is, what goes with what, and finding files by a model's name."""
