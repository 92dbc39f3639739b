"""Sliders that work in the static page, with no kernel: linked in the browser."""

from collections.abc import Sequence

from ipywidgets import HTML, Image, IntSlider, Stack, VBox, jslink


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
