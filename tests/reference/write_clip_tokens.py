"""Records how transformers reads prompts for CLIP, for the tests that run without it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
RECORDED = ROOT / "tests" / "data" / "clip_tokens.json"


def recorded() -> str:
    """The tokens of each prompt in ``clip_prompts.py``, one to a line."""
    from tests.reference.clip_tokenizer import clip_tokenizer
    from tests.support.clip_prompts import CLIP_PROMPTS

    tokenizer = clip_tokenizer()
    lines = [
        f"  {json.dumps(prompt)}: {json.dumps(tokenizer(prompt, add_special_tokens=False)['input_ids'])}"
        for prompt in CLIP_PROMPTS
    ]
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "training")]
    RECORDED.write_text(recorded(), encoding="utf-8")
