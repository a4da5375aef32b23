"""Several pictures in one call: all prompts are encoded first, and then the pictures are drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdcpp_py.errors import SettingsError
from sdcpp_py.families import Family
from sdcpp_py.meter import Meter
from sdcpp_py.prompts import EncodedPrompt
from sdcpp_py.result import GeneratedImage
from sdcpp_py.session import Session
from sdcpp_py.settings import MAX_SEED, GenerationSettings, check_whole

MAX_PICTURES = 10_000
PROMPTS_AT_ONCE = 64

Prompt = str | EncodedPrompt
"""What to draw, as text or as the text encoder left it."""


@dataclass(frozen=True)
class Order:
    """One picture that is wanted.

    Attributes:
        settings: of the picture; its texts are those of the prompts.
        positive, negative: the prompts. The negative one has an effect only where cfg_scale is not 1.
    """

    settings: GenerationSettings
    positive: Prompt
    negative: Prompt

    @classmethod
    def of(
        cls,
        family: Family,
        prompt: Prompt | GenerationSettings,
        negative_prompt: Prompt | None,
        given: Mapping[str, Any],
    ) -> Order:
        """The order that the arguments of ``Generator.generate`` make; values that are None were not given.

        Raises SettingsError.
        """
        text = prompt.prompt if isinstance(prompt, EncodedPrompt) else prompt
        values = {name: value for name, value in given.items() if value is not None}
        if negative_prompt is not None:
            encoded = isinstance(negative_prompt, EncodedPrompt)
            values["negative_prompt"] = negative_prompt.prompt if encoded else negative_prompt  # type: ignore[union-attr]
        if isinstance(text, GenerationSettings):
            settings = text.replace(**values)
        else:
            settings = GenerationSettings.for_family(family, text, **values)
        return cls(
            settings,
            prompt if isinstance(prompt, EncodedPrompt) else settings.prompt,
            negative_prompt if isinstance(negative_prompt, EncodedPrompt) else settings.negative_prompt,
        )

    def with_seed(self, seed: int) -> Order:
        """The same with another seed."""
        return replace(self, settings=self.settings.replace(seed=seed))

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The prompts that the picture is drawn from."""
        return (self.positive,) if self.settings.cfg_scale == 1 else (self.positive, self.negative)


def make_orders(
    family: Family,
    prompt: Prompt | GenerationSettings | Sequence[Prompt | GenerationSettings],
    negative_prompt: Prompt | None,
    count: int = 1,
    **given: Any,
) -> list[Order]:
    """``count`` orders of a prompt, or of each of several, with rising seeds; values that are None were not given.

    Raises SettingsError.
    """
    several = isinstance(prompt, Sequence) and not isinstance(prompt, str)
    prompts: Sequence[Any] = list(prompt) if several else [prompt]  # type: ignore[arg-type]
    if not prompts:
        raise SettingsError("there is no prompt in the list of prompts")
    if len(prompts) > MAX_PICTURES:
        raise SettingsError(f"there are {len(prompts):,} prompts; give {MAX_PICTURES:,} at most")
    count = check_whole("count", count, 1, MAX_PICTURES // len(prompts))
    orders: list[Order] = []
    for one in prompts:
        order = Order.of(family, one, negative_prompt, given)
        first = orders[0].settings.seed if orders else order.settings.seed
        if first > MAX_SEED - count + 1:
            raise SettingsError(f"seed + count - 1 must not be above {MAX_SEED}; seed is {first}")
        orders += [order.with_seed(first + i) for i in range(count)]
    return orders


def draw_series(
    session: Session,
    orders: Sequence[Order],
    meter: Meter,
    *,
    noise: NDArray[np.float32] | None,
    return_latent: bool,
    on_image: Callable[[GeneratedImage], object] | None,
) -> list[GeneratedImage]:
    """Draws pictures of one size.

    Each prompt is encoded once, before the first picture, so that the text encoder can make room for the series. Of
    very many prompts, ``PROMPTS_AT_ONCE`` are encoded at a time.
    """
    pictures: list[GeneratedImage] = []
    for some in _portions(orders):
        states = _encode(session, some, meter)
        for order in some:
            meter.next_image(len(pictures))
            encoded = [prompt if isinstance(prompt, EncodedPrompt) else states[prompt] for prompt in order.prompts]
            picture = session.draw(
                order.settings,
                encoded[0],
                encoded[1] if len(encoded) > 1 else None,
                noise=noise,
                return_latent=return_latent,
                meter=meter,
            )
            pictures.append(picture)
            if on_image is not None:
                on_image(picture)
    return pictures


def _portions(orders: Sequence[Order]) -> Iterator[list[Order]]:
    """Orders of so many different prompts at a time that their states, some 15 MiB each, do not fill the memory."""
    portion: list[Order] = []
    texts: set[Prompt] = set()
    for order in orders:
        if portion and len(texts | set(order.prompts)) > PROMPTS_AT_ONCE:
            yield portion
            portion, texts = [], set()
        portion.append(order)
        texts |= set(order.prompts)
    yield portion


def _encode(session: Session, orders: Sequence[Order], meter: Meter) -> dict[str, EncodedPrompt]:
    """What the text encoder makes of the texts of some orders, each once."""
    wanted = [prompt for order in orders for prompt in order.prompts]
    given = [prompt for prompt in wanted if isinstance(prompt, EncodedPrompt)]
    for prompt in given:
        session.check_encoded(prompt)
    texts = list(dict.fromkeys(prompt for prompt in wanted if isinstance(prompt, str)))
    if not texts:
        return {}
    known = {text: session.known(text) for text in texts}
    plan = session.plan_for(orders[0].settings, [*(found or text for text, found in known.items()), *given])
    meter.expect_prompts(len(texts))
    # Those to be computed come first: weights may have to be loaded for them, and phases are reported in order.
    states = {text: session.encode(text, plan, meter) for text, found in known.items() if found is None}
    for text, found in known.items():
        if found is not None:
            meter.encoded_before()
            states[text] = found
    return states
