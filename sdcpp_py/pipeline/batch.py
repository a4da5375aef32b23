"""Several pictures in one call: all prompts are encoded first, and then the pictures are drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdcpp_py.errors import SettingsError
from sdcpp_py.images.conditioning import EncodedPictures, GivenPictures, Pictures
from sdcpp_py.images.result import GeneratedImage
from sdcpp_py.memory.plan import MemoryPlan
from sdcpp_py.memory.requirements import Demand
from sdcpp_py.models.families import Family
from sdcpp_py.naming import named
from sdcpp_py.pipeline.pipeline import Session
from sdcpp_py.pipeline.progress_meter import Meter
from sdcpp_py.prompts.encoded import EncodedPrompt
from sdcpp_py.settings import MAX_SEED, MIN_EDGE, GenerationSettings, check_edge, check_whole

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
        defaults: Mapping[str, Any],
    ) -> Order:
        """The order that the arguments of ``Generator.generate`` make; values that are None were not given.

        ``defaults``: what pictures that are handed in say, where neither an argument nor whole settings do; whole
        settings of strength 1 count as saying no strength.
        Raises SettingsError.
        """
        text = prompt.prompt if isinstance(prompt, EncodedPrompt) else prompt
        values = {name: value for name, value in given.items() if value is not None}
        if negative_prompt is not None:
            encoded = isinstance(negative_prompt, EncodedPrompt)
            values["negative_prompt"] = negative_prompt.prompt if encoded else negative_prompt  # type: ignore[union-attr]
        if isinstance(text, GenerationSettings):
            # At strength 1, which all settings of pictures that were drawn from nothing have, an init image plays no
            # part. Whoever wants just that says so with the argument.
            if text.strength == 1 and "strength" in defaults:
                values.setdefault("strength", defaults["strength"])
            settings = text.replace(**values)
            for name in ("width", "height"):
                check_edge(name, getattr(settings, name), family.size_multiple)
        else:
            settings = GenerationSettings.for_family(family, text, **{**defaults, **values})
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


def make_series(
    family: Family,
    prompt: Prompt | GenerationSettings | Sequence[Prompt | GenerationSettings],
    count: int,
    arguments: Mapping[str, Any],
) -> tuple[list[Order], Pictures]:
    """The orders and the pictures that the arguments of ``Generator.generate`` make.

    Raises SettingsError, ImageError, ImageNotFoundError.
    """
    given = dict(arguments)
    pictures = GivenPictures.of(
        family,
        given.pop("image", None),
        given.pop("mask", None),
        given.pop("reference_images", None),
        given.pop("resize", None),
        given.pop("keep_unmasked", True),
    )
    if given.get("strength") is not None and pictures.image is None:
        raise SettingsError(
            f"{named('strength')} says how far a picture goes from the one it begins from; give that one as "
            f"{named('image')}"
        )
    defaults = pictures.defaults()
    try:
        orders = make_orders(family, prompt, given.pop("negative_prompt", None), count, defaults, **given)
    except SettingsError as error:
        own = given.get("width") is not None or given.get("height") is not None
        if not defaults or own or not str(error).startswith((named("width"), named("height"))):
            raise
        shown = f"{defaults['width']}x{defaults['height']}"
        raise SettingsError(
            f"a picture of {shown} cannot be drawn ({error}); give {named('resize')} or a size"
        ) from None
    return orders, _fitting(pictures, orders)


def _fitting(pictures: GivenPictures, orders: Sequence[Order]) -> Pictures:
    """The pictures in the drawings' size. Raises SettingsError where they do not go with each of the orders."""
    sizes = {_size_of(order) for order in orders}
    if not pictures.empty and len(sizes) > 1:
        raise SettingsError("pictures that are handed in go with drawings of one size; these settings have several")
    for order in orders:
        if order.settings.strength < 1 and pictures.image is None:
            raise SettingsError(
                f"{named('strength')} is {order.settings.strength:g}, but there is no image to begin from; give it as "
                f"{named('image')}"
            )
    return pictures.sized(*sizes.pop())


def make_orders(
    family: Family,
    prompt: Prompt | GenerationSettings | Sequence[Prompt | GenerationSettings],
    negative_prompt: Prompt | None,
    count: int = 1,
    defaults: Mapping[str, Any] = MappingProxyType({}),
    **given: Any,
) -> list[Order]:
    """``count`` orders of a prompt, or of each of several, with rising seeds; values that are None were not given.

    ``defaults`` are as in ``Order.of``. Raises SettingsError.
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
        order = Order.of(family, one, negative_prompt, given, defaults)
        first = orders[0].settings.seed if orders else order.settings.seed
        if first > MAX_SEED - count + 1:
            raise SettingsError(f"{named('seed')} + {named('count')} - 1 must not be above {MAX_SEED}; seed is {first}")
        orders += [order.with_seed(first + i) for i in range(count)]
    return orders


def draw_series(
    session: Session,
    orders: Sequence[Order],
    meter: Meter,
    pictures: Pictures,
    *,
    noise: NDArray[np.float32] | None = None,
    return_latent: bool = False,
    on_image: Callable[[GeneratedImage], object] | None = None,
) -> list[GeneratedImage]:
    """Draws pictures.

    Each prompt is encoded once, before the first picture, so that the text encoder can make room for the series, and so
    is each picture that was handed in. Of very many prompts, ``PROMPTS_AT_ONCE`` are encoded at a time.
    """
    drawn: list[GeneratedImage] = []
    encoded: EncodedPictures | None = None
    for some in _portions(orders):
        known = _known(session, some)
        plans = session.plan_call(_demand(some, known, pictures))
        states = _encode(session, known, plans.encoding, meter, images=pictures.count if encoded is None else 0)
        if encoded is None:
            # After the prompts, whose encoder makes room for the VAE.
            encoded = session.encode_pictures(pictures, plans.generating, meter)
        for order in some:
            meter.next_image(len(drawn))
            prompts = [prompt if isinstance(prompt, EncodedPrompt) else states[prompt] for prompt in order.prompts]
            negative = _negative(prompts[1], session.files.family) if len(prompts) > 1 else None
            picture = session.draw(
                order.settings,
                prompts[0],
                negative,
                plans.generating,
                noise=noise,
                pictures=pictures,
                encoded=encoded,
                return_latent=return_latent,
                meter=meter,
            )
            drawn.append(picture)
            if on_image is not None:
                on_image(picture)
    return drawn


def encode_prompt(session: Session, settings: GenerationSettings, meter: Meter) -> EncodedPrompt:
    """The states for a prompt, kept or computed, with no picture in mind."""
    # What denoising takes does not matter here: the smallest picture does, unless states hold its size.
    if not session.files.family.prompts_have_sizes:
        settings = settings.replace(width=MIN_EDGE, height=MIN_EDGE)
    text = settings.prompt
    known = {text: session.known(text, settings.width, settings.height)}
    plans = session.plan_call(Demand(settings.width, settings.height, (known[text] or text,)))
    return _encode(session, known, plans.encoding, meter)[text]


def _negative(prompt: EncodedPrompt, family: Family) -> EncodedPrompt:
    """A negative prompt as the family reads it."""
    if prompt.prompt or not family.empty_is_nothing:
        return prompt
    nothing = np.zeros_like(prompt.arrays["crossattn"])
    return replace(prompt, arrays={**prompt.arrays, "crossattn": nothing})


def _portions(orders: Sequence[Order]) -> Iterator[list[Order]]:
    """Orders of one plan, of so many different prompts that their states, some 15 MiB each, do not fill the memory."""
    portion: list[Order] = []
    texts: set[Prompt] = set()
    for order in orders:
        other_plan = portion and _planned_by(order) != _planned_by(portion[0])
        if other_plan or (portion and len(texts | set(order.prompts)) > PROMPTS_AT_ONCE):
            yield portion
            portion, texts = [], set()
        portion.append(order)
        texts |= set(order.prompts)
    yield portion


def _planned_by(order: Order) -> tuple[int, int, int]:
    return *_size_of(order), order.settings.vae_tile_size


def _size_of(order: Order) -> tuple[int, int]:
    return order.settings.width, order.settings.height


def _known(session: Session, orders: Sequence[Order]) -> dict[str, EncodedPrompt | None]:
    """The texts of some orders, each once, with what was kept of them."""
    wanted = [prompt for order in orders for prompt in order.prompts]
    for prompt in wanted:
        if isinstance(prompt, EncodedPrompt):
            session.check_encoded(prompt)
    width, height = _size_of(orders[0])
    return {text: session.known(text, width, height) for text in wanted if isinstance(text, str)}


def _demand(orders: Sequence[Order], known: Mapping[str, EncodedPrompt | None], pictures: Pictures) -> Demand:
    """What some orders of one size take of memory."""
    wanted = dict.fromkeys(prompt for order in orders for prompt in order.prompts)
    prompts = tuple((known[prompt] or prompt) if isinstance(prompt, str) else prompt for prompt in wanted)
    settings = orders[0].settings
    return Demand(settings.width, settings.height, prompts, settings.vae_tile_size, pictures)


def _encode(
    session: Session,
    known: Mapping[str, EncodedPrompt | None],
    plan: MemoryPlan | None,
    meter: Meter,
    *,
    images: int = 0,
) -> dict[str, EncodedPrompt]:
    """What the text encoder makes of texts.

    Args:
        session: the open model.
        known: the texts, each with what was kept of it.
        plan: while it is computed; None where all were kept.
        meter: hears of it.
        images: how many pictures will be encoded after the texts, in the same phase.
    """
    if known or images:
        meter.expect_prompts(len(known) + images)
    states: dict[str, EncodedPrompt] = {}
    # Those to be computed come first: weights may have to be loaded for them, and phases are reported in order.
    for text, found in known.items():
        if found is None:
            assert plan is not None
            states[text] = session.encode(text, plan, meter)
    for text, found in known.items():
        if found is not None:
            meter.encoded_before()
            states[text] = found
    return states
