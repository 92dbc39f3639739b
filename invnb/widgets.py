"""Sliders that work in the static page, with no kernel: linked in the browser."""

from collections.abc import Mapping, Sequence

from ipywidgets import HTML, Dropdown, Image, IntSlider, Stack, VBox, jslink


def slider(frames: Sequence[bytes], *, name: str, description: str) -> VBox:
    """Return a slider that shows one of several PNG pictures.

    Args:
        frames: PNG files, one per position.
        name: what the slider chooses, shown at its left.
        description: what the pictures show, in words, for those who cannot see them.

    """
    chooser = IntSlider(
        value=0, min=0, max=len(frames) - 1, description=name, style={"description_width": "auto"}
    )
    stack = Stack([Image(value=f, format="png") for f in frames], selected_index=0)
    jslink((chooser, "value"), (stack, "selected_index"))
    return VBox([HTML(f"<p>{description}</p>"), chooser, stack])


def chooser(
    frames: Mapping[str, Mapping[str, Sequence[bytes]]],
    *,
    names: tuple[str, str, str],
    description: str,
    width: int = 168,
) -> VBox:
    """Return two lists to choose from, and a slider, that show one of many PNG pictures.

    Args:
        frames: PNG files by first and second choice, one per position of the slider; each first
            choice has as many second ones, and each of these as many positions.
        names: of both lists and the slider.
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
    style = {"description_width": "auto"}
    first = Dropdown(options=list(frames), description=names[0], style=style)
    seconds = [
        Dropdown(options=list(of), description=names[1], style=style) for of in frames.values()
    ]
    second = Stack(seconds, selected_index=0)
    positions = len(inner[0][0].children)
    slider = IntSlider(
        value=positions // 2, min=0, max=positions - 1, description=names[2], style=style
    )
    jslink((first, "index"), (outer, "selected_index"))
    jslink((first, "index"), (second, "selected_index"))
    for dropdown, stack in zip(seconds, middle, strict=True):
        jslink((dropdown, "index"), (stack, "selected_index"))
    for stack in (one for stacks in inner for one in stacks):
        stack.selected_index = positions // 2
        jslink((slider, "value"), (stack, "selected_index"))
    return VBox([HTML(f"<p>{description}</p>"), first, second, slider, outer])
