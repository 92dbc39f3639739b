"""Sliders that work in the static page, with no kernel: linked in the browser."""

from collections.abc import Mapping, Sequence

from ipywidgets import HTML, Dropdown, Image, SelectionSlider, Stack, VBox, jslink

STYLE = {"description_width": "auto"}


def slider(
    frames: Mapping[str, bytes], *, name: str, description: str, start: str | None = None
) -> VBox:
    """Return a slider that shows one of several PNG pictures.

    Args:
        frames: PNG files by what their position stands for, which is shown beside the slider.
        name: what the slider chooses, shown at its left.
        description: what the pictures show, in words, for those who cannot see them.
        start: the position to begin at; default the first.

    """
    chooser = SelectionSlider(
        options=list(frames), value=start or next(iter(frames)), description=name, style=STYLE
    )
    pictures = [Image(value=f, format="png") for f in frames.values()]
    stack = Stack(pictures, selected_index=chooser.index)
    jslink((chooser, "index"), (stack, "selected_index"))
    return VBox([HTML(f"<p>{description}</p>"), chooser, stack])


def chooser(
    frames: Mapping[str, Mapping[str, Sequence[bytes]]],
    *,
    names: tuple[str, str, str],
    positions: Sequence[str],
    description: str,
    width: int = 168,
) -> VBox:
    """Return two lists to choose from, and a slider, that show one of many PNG pictures.

    Args:
        frames: PNG files by first and second choice, one per position of the slider; each first
            choice has as many second ones, and each of these as many positions.
        names: of both lists and the slider.
        positions: what each position of the slider stands for; it begins in the middle.
        description: what the pictures show, in words, for those who cannot see them.
        width: of a picture, pixels on the page.

    """
    inner = [
        [Stack([Image(value=f, format="png", width=width) for f in some], selected_index=0)
         for some in of.values()]
        for of in frames.values()
    ]  # fmt: skip
    middle = [Stack(stacks, selected_index=0) for stacks in inner]
    outer = Stack(middle, selected_index=0)
    first = Dropdown(options=list(frames), description=names[0], style=STYLE)
    seconds = [
        Dropdown(options=list(of), description=names[1], style=STYLE) for of in frames.values()
    ]
    second = Stack(seconds, selected_index=0)
    middle_one = len(positions) // 2
    slider = SelectionSlider(
        options=list(positions), value=positions[middle_one], description=names[2], style=STYLE
    )
    jslink((first, "index"), (outer, "selected_index"))
    jslink((first, "index"), (second, "selected_index"))
    for dropdown, stack in zip(seconds, middle, strict=True):
        jslink((dropdown, "index"), (stack, "selected_index"))
    for stack in (one for stacks in inner for one in stacks):
        stack.selected_index = middle_one
        jslink((slider, "index"), (stack, "selected_index"))
    return VBox([HTML(f"<p>{description}</p>"), first, second, slider, outer])
