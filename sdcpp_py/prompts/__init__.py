"""Prompts, and what the text encoder makes of them."""
