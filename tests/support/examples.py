"""How many examples Hypothesis tries: a tenth of them by default, all with ``--hypothesis-profile=thorough``."""

from __future__ import annotations

from hypothesis import settings

THOROUGH = 100
"""What a test that says no number of its own tries thoroughly."""
QUICK = THOROUGH // 10
_FEWEST = 4


def examples(thorough: int) -> int:
    """The ``max_examples`` of a test that tries so many thoroughly."""
    return max(min(thorough, _FEWEST), thorough * settings().max_examples // THOROUGH)
