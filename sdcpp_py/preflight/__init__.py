"""Answers before anything is loaded: plans, fits, times, and what this machine is."""
