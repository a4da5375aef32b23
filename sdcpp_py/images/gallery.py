"""The pictures of a batch, and how a notebook shows them."""

from __future__ import annotations

import base64
import html
import io

from sdcpp_py.images.result import GeneratedImage
from sdcpp_py.signatures.foreign import answering

_EDGE = 256
_MOST = 64


@answering
class GeneratedImages(list[GeneratedImage]):
    """A list of pictures that a notebook shows as a gallery: small, with their seeds, 64 of them at most."""

    def _repr_html_(self) -> str:
        cells = "".join(_cell(picture) for picture in self[:_MOST])
        more = f"<p>and {len(self) - _MOST} more</p>" if len(self) > _MOST else ""
        return f'<div style="display:flex;flex-wrap:wrap;gap:8px">{cells}</div>{more}'


def _cell(picture: GeneratedImage) -> str:
    small = picture.image.copy()
    small.thumbnail((_EDGE, _EDGE))
    stream = io.BytesIO()
    small.save(stream, "PNG")
    data = base64.b64encode(stream.getvalue()).decode("ascii")
    prompt = html.escape(picture.settings.prompt)
    return (
        f'<figure style="margin:0"><img src="data:image/png;base64,{data}" title="{prompt}">'
        f"<figcaption>seed {picture.seed}</figcaption></figure>"
    )
