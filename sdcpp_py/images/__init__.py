"""Pictures: those that are handed in, and those that come out."""
