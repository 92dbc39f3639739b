"""The profiles that come with the notebooks: complete, allowed, and true to the source."""

import pytest

from invnb import claims, parameters, paths, profiles
from invnb.drawers import DRAWERS


@pytest.mark.parametrize("profile", ["smoke", "quick", "full"])
@pytest.mark.parametrize("notebook", profiles.notebooks())
def test_every_profile_is_allowed(profile, notebook):
    assert profiles.resolve(notebook, profile)


@pytest.mark.parametrize("notebook", profiles.notebooks())
def test_full_has_the_settings_and_the_seeds_that_the_claims_rest_on(notebook):
    values = profiles.resolve(notebook, "full")
    most = max((name for name in values if name.endswith("seeds")), key=lambda n: len(values[n]))
    for claim in claims.load(notebook):
        unfit = [k for k, wanted in claim.settings.items() if not claims.fits(values[k], wanted)]
        assert unfit == []
        if notebook == "rotation-generalization":  # whose drawers have seeds of their own
            networks = {metric.split(".")[0] for metric in claim.metrics}
            most = "drawing_seeds" if networks & DRAWERS.keys() else "seeds"
        assert len(values[most]) >= claim.seeds


@pytest.mark.parametrize("notebook", profiles.notebooks())
def test_quick_and_smoke_shrink_data_and_training_but_no_network(notebook):
    full = profiles.resolve(notebook, "full")
    for profile in ("smoke", "quick"):
        values = profiles.resolve(notebook, profile)
        sizes = full.keys() & {"hidden", "layers"}  # other chapters' networks have no size to set
        assert {k: values[k] for k in sizes} == {k: full[k] for k in sizes}


def test_smoke_is_the_notebooks_own_defaults():
    for notebook in profiles.notebooks():
        declared = parameters.read(paths.NOTEBOOKS / f"{notebook}.ipynb")
        assert profiles.resolve(notebook, "smoke") == {p.name: p.default for p in declared}
