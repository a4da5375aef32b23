"""What sd-cli, the engine's own program, calls things: its options in ``generate``, its commands in our words."""
