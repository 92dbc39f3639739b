"""What every notebook keeps to, so that it reads well, runs anywhere and checks itself."""

import ast
import copy
import re
import subprocess
import sys
from collections import Counter

import nbformat
import pytest

from invnb import claimfile, figures, parameters, paths

MARK = "# NBVAL_CHECK_OUTPUT"
LINK = re.compile(r"\[[^\]]*\]\((?!https?:)([^)\s#]*)(?:#([^)\s]+))?\)")
OF_A_MACHINE = re.compile(r"(?<![\w.:/-])(/(home|root|Users|work|tmp|mnt|opt)/|[A-Z]:\\\\)\w")

pytestmark = pytest.mark.parametrize(
    "path", sorted(paths.NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem
)


def code_cells(path):
    notebook = nbformat.read(path, as_version=4)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def is_marked(cell):
    return MARK in cell.source


def test_parameters_are_declared_and_then_checked(path):
    declared = parameters.read(path)
    assert {p.name for p in declared} >= {"seeds", "models"}
    assert all(p.help for p in declared)
    cells = code_cells(path)
    tagged = [i for i, c in enumerate(cells) if "parameters" in c.metadata.get("tags", [])]
    following = cells[tagged[0] + 1]
    assert f'check_namespace("{path.stem}", globals())' in following.source


def test_outputs_are_stored_for_at_least_three_marked_cells_and_for_no_others(path):
    marked = [cell for cell in code_cells(path) if is_marked(cell)]
    assert len(marked) >= 3
    # nbval takes an output without a count for a mistake
    assert all(cell.outputs and cell.execution_count for cell in marked)
    assert not [c.source for c in code_cells(path) if c.outputs and not is_marked(c)]


def test_cells_are_short_and_were_executed_in_order(path):
    cells = code_cells(path)
    assert max(len(cell.source.splitlines()) for cell in cells) <= 40
    counts = [cell.execution_count for cell in cells if cell.execution_count is not None]
    assert counts == sorted(set(counts))


def test_links_lead_to_pages_claims_and_figures(path):
    """A build from an older run, whose prose is older, does not see them."""
    notebook = nbformat.read(path, as_version=4)
    claims = {claim.id.lower() for claim in claimfile.load(path.stem)}
    targets = claims | {one.id for one in figures.declared(path.stem, notebook)}
    for cell in notebook.cells:
        prose = re.sub(r"`[^`]*`", "", cell.source) if cell.cell_type == "markdown" else ""
        for page, target in LINK.findall(prose):
            assert not page or (path.parent / page).is_file(), page
            assert not target or target in targets, target


def test_no_cell_rebinds_a_parameter_or_the_data(path):
    declared = {p.name for p in parameters.read(path)}
    bound = Counter(name for cell in code_cells(path) for name in _bound(ast.parse(cell.source)))
    once = declared | ({"images", "splits", "experiment"} & bound.keys())
    assert {name: bound[name] for name in once if bound[name] != 1} == {}


def test_no_cell_rebinds_a_function_of_another(path):
    """In Jupyter, a reader runs single cells again."""
    trees = [ast.parse(cell.source) for cell in code_cells(path)]
    body = [node for tree in trees for node in tree.body]
    functions = [node.name for node in body if isinstance(node, ast.FunctionDef)]
    imports = [node for node in body if isinstance(node, ast.ImportFrom)]
    imported = {alias.asname or alias.name for node in imports for alias in node.names}
    assert len(functions) == len(set(functions))
    assert imported.isdisjoint(functions)
    assert imported.union(functions) & {name for tree in trees for name in _bound(tree)} == set()


def test_nothing_names_a_folder_of_some_machine(path):
    assert not OF_A_MACHINE.search(path.read_text(encoding="utf-8"))


def test_formulas_have_single_backslashes(path):
    notebook = nbformat.read(path, as_version=4)
    for cell in (c for c in notebook.cells if c.cell_type == "markdown"):
        assert not re.search(r"\\\\[a-zA-Z]|[\a\b\t\v\f\r]", cell.source), cell.source


def test_prose_cites_sentences_that_some_cell_can_record(path):
    notebook = nbformat.read(path, as_version=4)
    prose = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    code = ast.parse("\n".join(cell.source for cell in code_cells(path)))
    names = list(filter(None, map(_as_pattern, ast.walk(code))))
    names += [re.escape(claim.id) for claim in claimfile.load(path.stem)]
    cited = set(re.findall(r"\{glue:text\}`([^`.]+)`", prose))  # `record_missing` makes dotted ones
    assert cited
    assert {key for key in cited if not any(re.fullmatch(n, key) for n in names)} == set()


def test_a_changed_digit_in_a_stored_output_fails(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    last = next(i for i, c in enumerate(notebook.cells) if is_marked(c) and _digit_changed(c) != c)
    # what comes after the first number checked only costs time
    notebook.cells = notebook.cells[: last + 1]
    nbformat.write(notebook, tmp_path / "as_it_is.ipynb")
    notebook.cells[last] = _digit_changed(notebook.cells[last])
    nbformat.write(notebook, tmp_path / "changed.ipynb")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--nbval-lax", "--nbval-current-env", "."],
        check=False,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    failed = re.findall(r"^FAILED (\S+)::Cell (\d+)", done.stdout, re.MULTILINE)
    position = sum(c.cell_type == "code" for c in notebook.cells) - 1
    assert failed == [("changed.ipynb", str(position))], done.stdout


def _as_pattern(node):
    """Return what a string or f-string with a word in it can be, as a regular expression."""
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    fixed = [getattr(part, "value", None) for part in parts]
    if not any(isinstance(text, str) and re.search("[a-zA-Z]", text) for text in fixed):
        return None
    return "".join(re.escape(text) if isinstance(text, str) else ".+" for text in fixed)


def _bound(node):
    """Yield the names that a cell binds for the cells after it: not those inside of functions."""
    hidden = ast.FunctionDef | ast.Lambda | ast.ListComp | ast.DictComp | ast.SetComp
    if isinstance(node, hidden | ast.GeneratorExp):
        return
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    for child in ast.iter_child_nodes(node):
        yield from _bound(child)


def _digit_changed(cell):
    """Return a copy of `cell` with the first digit of its printed or shown text changed."""
    cell = copy.deepcopy(cell)
    for output in cell.outputs:
        holder, key = (output, "text") if "text" in output else (output.data, "text/plain")
        text = holder.get(key, "")
        holder[key] = re.sub(r"\d", lambda d: str((int(d[0]) + 1) % 10), text, count=1)
        if holder[key] != text:
            break
    return cell
