"""The reference run's tables and figures in the chapter of another run.

A short run leaves out most of what a chapter can measure. Below each of its tables a reader finds
that of the reference run, folded, and where it has nothing to draw, the reference run's figure.
"""

import copy

from nbformat import NotebookNode
from nbformat.v4 import new_output

from invnb.figures import KEY, TABLE, is_picture, is_table

FOLDED = ":::{{dropdown}} {title}, in the reference run's chapter\n\n{tables}\n\n:::"
INSTEAD = "*{title}, in the reference run's chapter:*"


def put(chapter: NotebookNode, reference: NotebookNode) -> None:
    """Put tables and figures of `reference` into `chapter`, below those of the same id.

    Args:
        chapter: an executed chapter with marked figures (`invnb.figures.mark`); changed in place.
        reference: the same chapter as the reference run executed it, marked as well.

    """
    theirs = {cell.metadata[KEY]["id"]: cell for cell in _showing(reference)}
    for cell in _showing(chapter):
        if (other := theirs.get(cell.metadata[KEY]["id"])) is None:
            continue
        title = cell.metadata[KEY]["title"]
        tables = [output.data[TABLE] for output in other.outputs if is_table(output)]
        own = [output.data[TABLE] for output in cell.outputs if is_table(output)]
        if tables and tables != own:
            folded = FOLDED.format(title=title, tables="\n\n".join(tables))
            cell.outputs.append(new_output("display_data", {TABLE: folded}))
        pictures = [output for output in other.outputs if is_picture(output)]
        if pictures and not own and not any(map(is_picture, cell.outputs)):
            cell.outputs.append(new_output("display_data", {TABLE: INSTEAD.format(title=title)}))
            cell.outputs += copy.deepcopy(pictures)


def _showing(chapter: NotebookNode) -> list[NotebookNode]:
    return [c for c in chapter.cells if c.cell_type == "code" and KEY in c.metadata]
