"""invnb.engine: what a finished progress bar leaves in the executed notebook."""

from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from invnb.engine import WIDGET_STATE, WIDGET_VIEW, without_progress_bars


def view(key):
    return new_output("display_data", {WIDGET_VIEW: {"model_id": key}, "text/plain": "widget"})


def widget(kind, **state):
    return {"model_name": f"{kind}Model", "state": state}


def notebook(*outputs, state):
    cells = [new_markdown_cell("# A"), new_code_cell("train()", outputs=list(outputs))]
    made = new_notebook(cells=cells)
    if state is not None:
        made.metadata["widgets"] = {WIDGET_STATE: {"state": state}}
    return made


def test_a_notebook_without_widgets_is_left_as_it_is():
    text = new_output("stream", name="stdout", text="1 2\n")
    assert without_progress_bars(notebook(text, state=None)).cells[1].outputs == [text]


def test_bars_go_and_sliders_and_text_stay():
    state = {
        "bar": widget("HBox", children=["IPY_MODEL_label", "IPY_MODEL_progress"]),
        "progress": widget("FloatProgress", value=3.0),
        "label": widget("HTML"),
        "chooser": widget("VBox", children=["IPY_MODEL_slider"]),
        "slider": widget("IntSlider", value=0),
    }
    text = new_output("stream", name="stdout", text="1 2\n")
    made = without_progress_bars(notebook(view("bar"), text, view("chooser"), state=state))
    assert made.cells[1].outputs == [text, view("chooser")]
