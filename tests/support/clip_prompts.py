"""Prompts in which a tokenizer of CLIP's may go wrong."""

from __future__ import annotations

CLIP_PROMPTS = (
    "a red circle on a white background",
    "A Photo of EIFFEL Tower, 4K, don't they're we've I'll he'd it's I'm DON'T",
    "",
    "  two  spaces\tand\nlines\r\n\r\n",
    "a\u00a0no-break\u3000and an ideographic space\u2003\u2028\u0085end",
    "CAFÉ Cafe\u0301 café ÄÖÜ ÅNGSTRÖM",
    "KRIEGSSTRAẞE Straße \u212a\u212b\u2126",
    "ΟΔΟΣ Οδός ΣΑΣ σας ΆΈΉ",
    "МОСКВА Москва ЁЖ ёж Київ ЇЖАК",
    "ԵՐԵՎԱՆ Երևան ᲗᲑᲘᲚᲘᲡᲘ თბილისი ᏣᎳᎩ",
    "İSTANBUL ISPARTA ıssız i̇",
    "ǅUNGLA ǄUNGLA ǆ Ⅻ ⅻ Ⓐⓐ ＦＵＬＬ ｗｉｄｔｈ",
    "日本語のテキスト 한국어 한국어 हिन्दी ไทย العربية עברית",
    "𐐔𐐇𐐝𐐀𐐡𐐇𐐓 𞤀𞤣𞤤𞤢𞤥 𝔄𝔅",
    "👩\u200d👩\u200d👧 🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f ☀\ufe0f",
    "12345 1st ½ Ⅷ ٣ 3.14 50%",
    "(a:1.3) [b] {c} \\(d\\) <lora:x:1> BREAK :-)!!'s ''ll '\u017f",
    "<|startoftext|>a<|endoftext|> <|im_start|>",
    "supercalifragilisticexpialidocious" * 3,
    "漢字仮名交じり文" * 12,
)
