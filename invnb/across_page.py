"""The page that sets the chapters side by side: a table, a figure, and sentences from both.

Everything is read from results: `across.*`, as `invnb.across` records it, and chapter 1's scores.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from invnb import across_table, plots_across
from invnb.across_comparisons import comparisons
from invnb.across_table import TITLES, Network
from invnb.ledger import Run
from invnb.markup import chapter_titles, in_order
from invnb.tables import NO_BREAK, markdown_table, with_interval

NOTHING = "No chapter of this run has measured them."
RIGHT, ALIKE = 0.9, 0.7  # from which share of consistent answers, below which SI: see `_reasons`
ON_THE_CIRCLE = ("Ptest", "Pout", "Pinv")
ON_ITS_SCALE = ("LI", "DI", "sigma_max")  # measures that the logits' scale decides, too


def write(folder: Path, reference: Run, this: Run) -> None:
    """Write what the page includes into `folder`, and the figure where there is something.

    `across.md` has the table, `comparisons.md` the prose that follows from it, `circle.md` the
    scores at far angles.

    Args:
        folder: that other generated parts are in.
        reference: chapters of the reference run.
        this: chapters of the run that the book shows; they come first.

    """
    shown = {name: chapter for name, chapter in {**reference, **this}.items() if _done(chapter)}
    found = networks(shown)
    parts = [NOTHING]
    if found:
        figure = plots_across.across_networks(found)
        figure.savefig(folder / "across.svg")
        plt.close(figure)
        sentences = [*_sentences(found)]
        parts = [_whose(shown, found), "", *_tables(found), *_figure(sentences), *sentences]
    circle = _on_the_circle(shown)
    texts = {
        "across": "\n".join(parts),
        "comparisons": "\n\n".join(comparisons(found, circle)),
        "circle": markdown_table(circle).data if circle else NOTHING,
    }
    for name, text in texts.items():
        (folder / f"{name}.md").write_text(text + "\n", encoding="utf-8")


def networks(shown: Run) -> list[Network]:
    """Return the networks that the chapters have looked at, in the chapters' order."""
    found = {name: chapter["measurements"] for name, chapter in in_order(shown).items()}
    return [
        Network(c, n, measured)
        for c, measured in found.items()
        for n in across_table.networks(measured)
    ]


def _done(chapter: Mapping[str, Any]) -> bool:
    return chapter["status"] == "complete"


def _whose(shown: Run, found: Sequence[Network]) -> str:
    """Return whose networks this copy has measured, and which chapters are missing."""
    titles = chapter_titles()
    there = list(dict.fromkeys(network.chapter for network in found))
    told = f"Measured in this copy: the networks of {_listed([*map(_link, there)])}."
    if missing := [_link(c) if c in shown else titles[c] for c in titles if c not in there]:
        told += (
            f" Missing: those of {_listed(missing)}, whose runs here do not have these measures."
        )
    return told


def _listed(words: Sequence[str]) -> str:
    """Return words as `a, b and c`."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _tables(found: Sequence[Network]) -> Iterator[str]:
    """Yield the table that compares networks, and behind buttons what does not compare."""
    comparable = [m for m in TITLES if m not in ON_ITS_SCALE]
    yield from (markdown_table(_rows(found, comparable)).data, "")
    yield from _behind("On the scale of each network's logits: LI, DI and σmax")
    yield from (markdown_table(_rows(found, ON_ITS_SCALE)).data, ":::", "")
    yield from _behind("Accuracy under each transformation, the numbers of the figure")
    rows = []
    for network in found:
        kept = across_table.kept(network.measured, network.name)
        rows.append(
            _named(network) | {t.replace("_", " "): f"{share:.2f}" for t, share in kept.items()}
        )
    yield from (markdown_table(rows).data, ":::", "")


def _rows(found: Sequence[Network], measures: Sequence[str]) -> list[dict[str, str]]:
    """Return a row for each network: its mean of each measure, the interval on a second line."""
    rows = []
    for network in found:
        about = {m: network.measured[f"across.{network.name}.{m}"] for m in measures}
        shown = {TITLES[m]: with_interval(one, count=False) for m, one in about.items()}
        row = _named(network) | {t: s.replace(" [", "<br>[") for t, s in shown.items()}
        if "accuracy" in measures:
            row["transformed"] = f"{across_table.transformed(network.measured, network.name):.2f}"
        rows.append(row | {"n": str(next(iter(about.values()))["n"])})
    return rows


def _named(network: Network) -> dict[str, str]:
    return {"network": f"{network.title.replace(' ', NO_BREAK)}<br>{_link(network.chapter)}"}


def _behind(title: str) -> tuple[str, str]:
    """Return the first lines of what is shown when its title is clicked."""
    return f":::{{dropdown}} {title}", ""


def _link(chapter: str) -> str:
    return f"[{chapter_titles().get(chapter, chapter)}](../notebooks/{chapter}.ipynb)"


def _figure(sentences: Sequence[str]) -> Iterator[str]:
    found = " ".join(sentence.removeprefix("- ").replace("**", "") for sentence in sentences)
    yield from (
        ":::{figure} ../generated/across.svg",
        ":name: across-figure",
        ":alt: Left, agreement of saliency maps against the share of images with one prediction in "
        "all four poses, a dot for each network. Right, accuracy under each transformation for "
        f"each network, as a coloured table. {found}",
        "",
        "Left: the same answer against the same reasons. Right: accuracy under each "
        "transformation that changes digits, too, averaged over its magnitudes.",
        ":::",
        "",
    )


def _sentences(found: Sequence[Network]) -> Iterator[str]:
    """Yield what can be read off the numbers, whatever they are."""
    steady = max(found, key=lambda n: n.value("same_prediction"))
    fickle = min(found, key=lambda n: n.value("same_prediction"))
    yield (
        f"- **Answers.** Of {len(found)} rows, {steady.title} most often gives one prediction "
        f"to all four poses of an image ({steady.value('same_prediction'):.0%} of the images), "
        f"{fickle.title} least often ({fickle.value('same_prediction'):.0%})."
    )
    yield _reasons(found)
    titles = chapter_titles()
    by_chapter: dict[str, list[across_table.Network]] = {}
    for network in found:
        by_chapter.setdefault(titles.get(network.chapter, network.chapter), []).append(network)
    told = [f"{title}, {_most_and_least(of)}" for title, of in by_chapter.items()]
    yield (
        "- **What costs most.** Share of the accuracy that is left over the range of a "
        f"transformation, averaged over a chapter's rows: {'; '.join(told)}."
    )


def _most_and_least(networks: Sequence[Network]) -> str:
    """Tell which transformation leaves some networks least of their accuracy, and which most."""
    costs: dict[str, list[float]] = {}
    for network in networks:
        for transformation, kept in across_table.kept(network.measured, network.name).items():
            costs.setdefault(transformation.replace("_", " "), []).append(
                kept / max(network.value("accuracy"), 1e-9)
            )
    means = {t: sum(v) / len(v) for t, v in costs.items()}
    worst, least = min(means, key=means.get), max(means, key=means.get)
    return f"{worst} leaves least ({means[worst]:.0%}), {least} most ({means[least]:.0%})"


def _reasons(found: Sequence[Network]) -> str:
    """Name the networks whose answers are invariant but whose saliency maps are not."""
    steady = [n for n in found if n.value("same_prediction") >= RIGHT]
    apart = [f"{n.title} ({n.value('SI'):.2f})" for n in steady if n.value("SI") < ALIKE]
    beginning = (
        f"- **Reasons.** At least {RIGHT:.0%} of the images get one prediction in {len(steady)} of "
        f"{len(found)} rows"
    )
    if not steady:
        return (
            f"- **Reasons.** No network gives one prediction to {RIGHT:.0%} of its images, and so "
            "none answers alike often enough for its reasons to be compared."
        )
    if not apart:
        return f"{beginning}, and in all of these saliency maps agree at {ALIKE:g} or more."
    return f"{beginning}; of these, saliency maps agree below {ALIKE:g} in {', '.join(apart)}."


def _on_the_circle(shown: Run) -> list[dict[str, str]]:
    """Return rows of chapter 1's scores: of its own networks, and of chapter 3's perceptrons."""
    rows = []
    for chapter, prefix in (("rotation-generalization", ""), ("genuine-invariance", "across.")):
        measured = shown.get(chapter, {}).get("measurements", {})
        scored = (n for n, one in measured.items() if n.endswith(".Pinv") and one["n"])
        names = [n.removesuffix(".Pinv") for n in scored]
        for name in names:
            if name.startswith(prefix) and not name.startswith("proper."):
                row = {"chapter": _link(chapter)}
                row["network"] = name.removeprefix(prefix).removesuffix("_turned").replace("_", " ")
                row |= {s: with_interval(measured.get(f"{name}.{s}")) for s in ON_THE_CIRCLE}
                rows.append(row)
    return rows
