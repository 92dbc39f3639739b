"""How papermill executes a notebook here: in this interpreter, its cells' progress in sight."""

import html
import logging
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbformat import NotebookNode
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, NotebookExecutionManager, papermill_engines
from papermill.log import logger
from traitlets import default

NAME = "invnb"
WIDGET_STATE = "application/vnd.jupyter.widget-state+json"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
PEAK_MEMORY = "peak_memory"  # in the notebook's papermill metadata
PEAK = re.compile(r"VmHWM:\s*(\d+) kB")
COUNT = re.compile(r"\d+/\d+\s\[")  # how tqdm begins the text to the right of a bar


class Kernel(AsyncKernelManager):
    """A kernel of this very interpreter, whatever kernels are installed on the machine."""

    @default("kernel_spec_manager")
    def _no_installed_kernels(self) -> KernelSpecManager:
        return KernelSpecManager(parent=self, kernel_dirs=[])


class Client(PapermillNotebookClient):
    """papermill's client; a progress bar within a cell is shown behind the bar over cells."""

    @default("kernel_manager_class")
    def _kernel_manager_class(self) -> type[Kernel]:
        return Kernel

    @default("extra_arguments")
    def _quiet_kernel(self) -> list[str]:
        # ipykernel warns at each start that it listens on this machine's loopback, and prints a
        # traceback of its own when it is stopped while it computes
        return ["--IPKernelApp.log_level=CRITICAL"]

    def papermill_execute_cells(self) -> None:
        """Execute all cells, and note the kernel's peak memory, in bytes, where Linux tells it."""
        try:
            super().papermill_execute_cells()
        finally:
            self.nb.metadata.papermill[PEAK_MEMORY] = _peak_memory(self.km.provisioner.pid)

    def handle_comm_msg(self, outs: list[Any], msg: dict[str, Any], cell_index: int) -> None:
        """Store a widget's state as nbclient does, and show it where it is a bar's text."""
        super().handle_comm_msg(outs, msg, cell_index)
        text = msg["content"]["data"].get("state", {}).get("value")
        if self.nb_man.pbar is not None and isinstance(text, str) and COUNT.search(text):
            self.nb_man.pbar.set_postfix_str(html.unescape(" ".join(text.split())))


class Engine(NBClientEngine):
    """papermill's engine with this client."""

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: NotebookExecutionManager,
        kernel_name: str,
        *,
        kernel_env: Mapping[str, str],
        kernel_cwd: str,
        **_: Any,
    ) -> NotebookNode:
        """Execute all cells of `nb_man.nb`.

        Args:
            nb_man: papermill's bookkeeping.
            kernel_name: `python3`.
            kernel_env: environment of the kernel.
            kernel_cwd: its working folder.

        """
        client = Client(nb_man, kernel_name=kernel_name, timeout=None, log=logger)
        return client.execute(env=dict(kernel_env), cwd=kernel_cwd)


def _peak_memory(pid: int) -> int | None:
    """Return the most memory that a process has held, in bytes; None where it cannot be had."""
    with suppress(OSError):
        found = PEAK.search(Path(f"/proc/{pid}/status").read_text(encoding="utf-8"))
        return found and 1024 * int(found[1])
    return None


def without_progress_bars(notebook: NotebookNode) -> NotebookNode:
    """Return the executed notebook without tqdm's finished bars, which leave blanks in a page."""
    stored = notebook.metadata.get("widgets", {}).get(WIDGET_STATE, {}).get("state", {})
    progress = {f"IPY_MODEL_{key}" for key, widget in stored.items() if _is_progress(widget)}
    bars = {key for key, w in stored.items() if progress & set(w["state"].get("children", ()))}
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        cell.outputs = [
            output
            for output in cell.outputs
            if output.get("data", {}).get(WIDGET_VIEW, {}).get("model_id") not in bars
        ]
    return notebook


def _is_progress(widget: Mapping[str, Any]) -> bool:
    return widget["model_name"] == "FloatProgressModel"


papermill_engines.register(NAME, Engine)
# What goes wrong is raised as well, and is reported once, by the runner.
logger.setLevel(logging.CRITICAL)
