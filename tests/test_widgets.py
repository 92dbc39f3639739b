"""invnb.widgets: what is linked with what in the static page."""

from ipywidgets import Dropdown, Image, SelectionSlider, Stack

from invnb import widgets


def test_a_slider_shows_its_frame():
    frames = {"0°": b"a", "15°": b"b", "30°": b"c"}
    box = widgets.slider(frames, name="angle", description="Turned.")
    text, slider, stack = box.children
    assert "Turned." in text.value
    assert (slider.options, slider.description) == (("0°", "15°", "30°"), "angle")
    assert [image.value for image in stack.children] == [b"a", b"b", b"c"]
    assert stack.selected_index == slider.index == 0


def test_a_slider_may_begin_elsewhere():
    box = widgets.slider({"a": b"a", "b": b"b"}, name="n", description="", start="b")
    _, slider, stack = box.children
    assert (slider.value, stack.selected_index) == ("b", 1)


def test_a_chooser_has_every_frame_under_its_choices():
    frames = {
        "A": {"one": [b"a1", b"a2", b"a3"], "two": [b"b1", b"b2", b"b3"]},
        "B": {"x": [b"c1", b"c2", b"c3"], "y": [b"d1", b"d2", b"d3"]},
    }
    names, positions = ("encoder", "number", "amount"), ("low", "none", "high")
    box = widgets.chooser(frames, names=names, positions=positions, description="Moved.")
    text, first, second, slider, outer = box.children
    assert "Moved." in text.value
    assert isinstance(first, Dropdown)
    assert first.options == ("A", "B")
    assert [dropdown.options for dropdown in second.children] == [("one", "two"), ("x", "y")]
    assert isinstance(slider, SelectionSlider)
    assert slider.options == positions
    assert slider.value == "none"  # the middle first
    shown = [
        [[image.value for image in stack.children] for stack in middle.children]
        for middle in outer.children
    ]
    assert shown == [list(map(list, of.values())) for of in frames.values()]
    innermost = [stack for middle in outer.children for stack in middle.children]
    assert all(isinstance(stack, Stack) and stack.selected_index == 1 for stack in innermost)
    assert all(isinstance(i, Image) for stack in innermost for i in stack.children)


def test_a_chooser_links_its_lists_and_its_slider(monkeypatch):
    frames = {"A": {"one": [b"a", b"b"]}, "B": {"one": [b"c", b"d"]}}
    made = []
    monkeypatch.setattr(widgets, "jslink", lambda source, target: made.append((source, target)))
    box = widgets.chooser(frames, names=("a", "b", "c"), positions=("x", "y"), description="")
    _, first, second, slider, outer = box.children
    assert ((first, "index"), (outer, "selected_index")) in made
    assert ((first, "index"), (second, "selected_index")) in made
    for dropdown, middle in zip(second.children, outer.children, strict=True):
        assert ((dropdown, "index"), (middle, "selected_index")) in made
        for stack in middle.children:
            assert ((slider, "index"), (stack, "selected_index")) in made
