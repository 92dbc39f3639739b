"""The sources' claims as data: what they say, where, and how each is judged.

`book/claims/<notebook>.yml` holds the claims of a notebook's source:

    source: {short: ..., title: ..., citation: key in book/references.bib}
    settings: {parameter: the source's value}   # what every claim of the file rests on; a claim
                                                # may add its own; {at_least: 20} for numbers
    seeds: 4                                    # the least number of networks to judge with
    data: [MNIST]                               # what to judge on; a claim may have its own
    claims:
      - id: GI-01
        place: section 4.2
        statement: in our own words
        published: {value: 0.946, sd: 0.001, n: 4, unit: fraction}   # or null
        criterion: [conditions, the main one first]                  # forms: `invnb.criteria`
        trained: [M >= 0.984]   # what the means must reach for the claim to be judged, in place of
                                # the source's number of steps
        seeds: 3                                                     # instead of the file's
        by_construction: true                                        # if it cannot fail
        partly_on: {CIFAR-10: not ImageNet}   # data that support no more than `partly`, and why
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from invnb import criteria, paths
from invnb.criteria import Comparison, Condition
from invnb.errors import InvnbError

FILE_KEYS = {"source", "settings", "seeds", "data", "claims"}
SOURCE_KEYS = {"short", "title", "citation"}
CLAIM_KEYS = {"id", "place", "statement", "published", "criterion"}
OPTIONAL_CLAIM_KEYS = {"data", "seeds", "settings", "trained", "by_construction", "partly_on"}
PUBLISHED_KEYS = {"value", "sd", "n", "unit"}


@dataclass(frozen=True)
class Claim:
    """One statement of a source that a run can support or contradict.

    Attributes:
        id: such as `GI-01`.
        notebook: the notebook that measures what it is about.
        source: short name of the source.
        place: where the source says it.
        statement: what it says, in our own words.
        published: the number, as `{"value", "sd", "n", "unit"}`; None where there is none.
        criterion: conditions, the main one first.
        trained: what the means of some measurements must reach, whatever the number of steps;
            none where the steps must be the source's.
        criterion_hash: SHA-256 of everything that decides the verdict, but the measurements.
        on: names of the data that it can be judged on.
        settings: the value that a parameter must have, or `{"at_least": number}`.
        seeds: how many networks are needed.
        by_construction: whether it cannot fail, so that a verdict is no finding.
        partly_on: data, among `on`, that support no better verdict than partly, and why.

    """

    id: str
    notebook: str
    source: str
    place: str
    statement: str
    published: Mapping[str, Any] | None
    criterion: tuple[Condition, ...]
    trained: tuple[Comparison, ...]
    criterion_hash: str
    on: tuple[str, ...]
    settings: Mapping[str, Any]
    seeds: int
    by_construction: bool
    partly_on: Mapping[str, str]

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the measurements that the criterion needs, in order of appearance."""
        conditions = (*self.criterion, *self.trained)
        return tuple(dict.fromkeys(q.name for c in conditions for q in c.quantities))

    @property
    def can_hold(self) -> bool:
        """Whether the published spread leaves room for an interval inside of the margins."""
        within = [c for c in self.criterion if isinstance(c, criteria.Within)]
        return all(condition.can_hold(self.published) for condition in within)

    @property
    def criterion_text(self) -> str:
        """The criterion on one line."""
        return "; ".join(condition.text for condition in self.criterion)


def load(notebook: str | None = None, folder: Path = paths.CLAIMS) -> list[Claim]:
    """Return the claims of one notebook's source, or of all, in the order of the files.

    Args:
        notebook: name without suffix; one without claims gives an empty list.
        folder: where the yml files are.

    Raises:
        InvnbError: naming file, claim and fault.

    """
    claims = [claim for path in sorted(folder.glob("*.yml")) for claim in _read(path)]
    seen: set[str] = set()
    for claim in claims:
        if claim.id in seen:
            raise InvnbError(f"{claim.notebook}.yml: claim {claim.id} is there already")
        seen.add(claim.id)
    return [claim for claim in claims if notebook in (None, claim.notebook)]


def _read(path: Path) -> Iterable[Claim]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise InvnbError(
            f"{path.name} is not valid YAML: {' '.join(str(error).split())}"
        ) from error
    _check_keys(content, FILE_KEYS, set(), path.name)
    _check_keys(content["source"], SOURCE_KEYS, set(), f"{path.name}, source")
    for entry in content["claims"]:
        name = entry.get("id") if isinstance(entry, Mapping) else entry
        where = f"{path.name}, claim {name}"
        _check_keys(entry, CLAIM_KEYS, OPTIONAL_CLAIM_KEYS, where)
        yield _claim(path.stem, content, entry, where)


def _claim(
    notebook: str, content: Mapping[str, Any], entry: Mapping[str, Any], where: str
) -> Claim:
    published, data = entry["published"], entry.get("data", content["data"])
    if published is not None:
        _check_keys(published, PUBLISHED_KEYS, set(), f"{where}, published")
    parsed = {
        key: _conditions(entry[key], published, f"{where}, {key}")
        for key in ("criterion", "trained")
        if key in entry
    }
    for condition in parsed.get("trained", ()):
        if not isinstance(condition, Comparison):
            raise InvnbError(f"{where}, trained: {condition.text!r} is not a comparison")
    settings = content["settings"] | entry.get("settings", {})
    for name, wanted in settings.items():
        if isinstance(wanted, Mapping):
            _check_keys(wanted, {"at_least"}, set(), f"{where}, setting {name}")
    seeds = entry.get("seeds", content["seeds"])
    decisive = {"settings": settings, "seeds": seeds, "published": published, "data": data}
    decisive |= {key: entry[key] for key in (*parsed, "partly_on") if key in entry}
    partly_on = entry.get("partly_on", {})
    if not isinstance(partly_on, Mapping) or partly_on.keys() - set(data):
        raise InvnbError(f"{where}, partly_on: must map names of {data} to reasons")
    return Claim(
        id=entry["id"],
        notebook=notebook,
        source=content["source"]["short"],
        place=entry["place"],
        statement=entry["statement"],
        published=published,
        criterion=parsed["criterion"],
        trained=parsed.get("trained", ()),
        criterion_hash=hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest(),
        on=tuple(data),
        settings=settings,
        seeds=seeds,
        by_construction=bool(entry.get("by_construction", False)),
        partly_on=partly_on,
    )


def _conditions(
    written: Any, published: Mapping[str, Any] | None, where: str
) -> tuple[Condition, ...]:
    if not isinstance(written, list) or not written:
        raise InvnbError(f"{where} must be a list of conditions, got {written!r}")
    conditions = []
    for condition in written:
        try:
            conditions.append(criteria.parse(condition, published))
        except InvnbError as error:
            raise InvnbError(f"{where}, condition {condition!r}: {error}") from error
    return tuple(conditions)


def _check_keys(mapping: Any, required: set[str], optional: set[str], where: str) -> None:
    if not isinstance(mapping, Mapping):
        raise InvnbError(f"{where}: must be a mapping, got {mapping!r}")
    for problem, keys in (
        ("unknown", mapping.keys() - required - optional),
        ("missing", required - mapping.keys()),
    ):
        if keys:
            allowed = ", ".join(sorted(required | optional))
            raise InvnbError(f"{where}: {problem} key {min(map(str, keys))!r} (allowed: {allowed})")
