"""The self-test: whether a device computes rightly, with which settings, and how fast."""
