"""Folders full of models, as ComfyUI, A1111 and people keep them: what lies there, and what belongs together."""
