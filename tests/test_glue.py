"""invnb.glue: what is kept of the values that a chapter glued, and of prose that cites none."""

import fake_run
import nbformat

from invnb import glue


def test_a_name_glued_again_keeps_its_last_value():
    def glued(name, value):
        return nbformat.v4.new_output(
            "display_data", {"text/plain": value}, metadata={"scrapbook": {"name": name}}
        )

    plain = nbformat.v4.new_output("stream", text="seen")
    cells = [
        nbformat.v4.new_code_cell("", outputs=[glued("a", "1"), plain, glued("b", "2")]),
        nbformat.v4.new_markdown_cell("words"),
        nbformat.v4.new_code_cell("", outputs=[glued("a", "3"), glued("a", "4")]),
    ]
    chapter = glue.once(nbformat.v4.new_notebook(cells=cells))
    assert chapter.cells[0].outputs == [plain, glued("b", "2")]
    assert chapter.cells[2].outputs == [glued("a", "4")]


def test_texts_are_replaced_and_numbers_kept_together():
    made = chapter("words", **{"M.a": "0.5 ± 0.1 (n = 2)", "M.b": "so (n = 2)", "M.c": "x"})
    glue.keep_together(made)
    glue.replace(made, {"M.c": "y"})
    assert glue.texts(made) == {
        "M.a": "0.5 ±\u00a00.1 (n\u00a0=\u00a02)",
        "M.b": "so (n\u00a0=\u00a02)",
        "M.c": "y",
    }


def chapter(*paragraphs, **glued):
    words = nbformat.v4.new_markdown_cell("\n\n".join(paragraphs))
    return nbformat.v4.new_notebook(
        cells=[words, nbformat.v4.new_code_cell("", outputs=fake_run.glued(**glued))]
    )


def test_what_was_seen_is_left_out_where_no_number_of_it_is_there():
    both = "**Seen:** {glue:text}`M.a` and {glue:text}`M.b`."
    only = "**Seen:** {glue:text}`M.b`, and {glue:text}`M.b` again."
    other = "Elsewhere {glue:text}`M.b`."
    known = {"M.a": "0.5", "M.b": "– (not in this run)"}
    made = chapter(both, only, other, "**Seen:** words.", **known)
    glue.leave_out_unseen(made)
    assert made.cells[0].source.split("\n\n") == [both, other, "**Seen:** words."]
    alone = chapter(only, other, **known)
    glue.leave_out_unseen(alone)
    assert alone.cells[0].source.split("\n\n") == [glue.NOTHING_SEEN, other]
