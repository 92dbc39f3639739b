"""What was measured across the chapters, read back as tables; needs no network and no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from invnb.tables import with_interval

COLOURED = ("grayscale",)  # transformations that leave gray images as they are
UNITS = {
    "accuracy": "fraction",
    "same_prediction": "fraction",
    "LI": "squared logits",
    "relative_LI": "1",
    "DI": "nats",
    "SI": "cosine",
    "sigma_max": "logits",
}
PREDICTIONS = ("accuracy", "same_prediction")  # the others are of logits, input and gradients
TITLES = {  # of columns
    "accuracy": "accuracy",
    "same_prediction": "one prediction",
    "LI": "LI",
    "relative_LI": "LI, relative",
    "DI": "DI",
    "SI": "SI",
    "sigma_max": "σmax",
}


@dataclass(frozen=True)
class Network:
    """A network that a chapter has looked at.

    Attributes:
        chapter: name of the notebook.
        name: as that chapter calls it.
        measured: the chapter's measurements.

    """

    chapter: str
    name: str
    measured: Mapping[str, Any]

    @property
    def title(self) -> str:
        """The name for readers."""
        return self.name.replace("_", " ")

    def value(self, measure: str) -> float:
        """Return the mean of a measure over seeds."""
        return self.measured[f"across.{self.name}.{measure}"]["mean"]


def tables(measured: Mapping[str, Mapping[str, Any]]) -> list[list[dict[str, str]]]:
    """Return two tables, a row for each network that has been looked at: one is wider than a page.

    The first is about predictions, the second about what they come from. None of them, where no
    network was looked at.

    Args:
        measured: measurements by name, of a run or of this process so far.

    """
    predictions, others = [], []
    for name in networks(measured):
        told = {u: with_interval(measured[f"across.{name}.{u}"]) for u in UNITS}
        named = {"network": name.replace("_", " ")}
        predictions.append(named | {TITLES[u]: told[u] for u in PREDICTIONS})
        predictions[-1]["transformed"] = f"{transformed(measured, name):.2f}"
        others.append(named | {TITLES[u]: told[u] for u in UNITS if u not in PREDICTIONS})
    return [predictions, others] if predictions else []


def networks(measured: Mapping[str, Any]) -> list[str]:
    """Return the names of the networks that were looked at, as `store` was told them."""
    own = [n.split(".") for n in measured if n.startswith("across.")]
    return [name for _, name, measure in own if measure == "sigma_max"]


def kept(measured: Mapping[str, Mapping[str, Any]], name: str) -> dict[str, float]:
    """Return the mean accuracy over a transformation's magnitudes, by transformation.

    Of those that change images of every chapter: digits have no colour to lose.
    """
    start = f"across.{name}."
    curves = {
        n.removeprefix(start): one["mean"]
        for n, one in measured.items()
        if n.startswith(start) and "axis" in one
    }
    return {n: sum(mean) / len(mean) for n, mean in curves.items() if n not in COLOURED}


def transformed(measured: Mapping[str, Mapping[str, Any]], name: str) -> float:
    """Return the mean accuracy over transformations and their magnitudes."""
    values = kept(measured, name).values()
    return sum(values) / len(values)
