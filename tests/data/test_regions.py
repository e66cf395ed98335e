"""Brain tumour labels become regions by their names, whatever their numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sslmed.core.errors import UserError
from sslmed.data.regions import brain_tumour_regions

EDEMA = ["edema", "Peritumoral Edema", "peritumoural oedema", "ED", "peritumoral edematous/invaded tissue"]
CORE = ["non-enhancing tumor", "Nonenhancing tumour", "non_enhancing", "not enhancing", "non-contrast-enhancing tumor"]
CORE += ["necrotic core", "NCR/NET", "necrosis", "necrotic and non-enhancing tumor core"]
ENHANCING = ["enhancing tumour", "Enhancing Tumor", "ET", "GD-enhancing tumor", "gadolinium_enhancing"]


def test_msd_task01():
    names = {0: "background", 1: "edema", 2: "non-enhancing tumor", 3: "enhancing tumour"}
    assert brain_tumour_regions(names) == {"wt": (1, 2, 3), "tc": (2, 3), "et": (3,)}


@pytest.mark.parametrize("enhancing", [3, 4])
def test_brats(enhancing):
    names = {0: "background", 1: "NCR/NET", 2: "ED", enhancing: "ET"}
    assert brain_tumour_regions(names) == {"wt": (1, 2, 3), "tc": (1, 3), "et": (3,)}  # 4 is the class of index 3


def test_several_labels_of_one_kind():
    names = {0: "background", 5: "non-enhancing", 2: "enhancing", 7: "edema", 3: "necrosis"}
    assert brain_tumour_regions(names) == {"wt": (1, 2, 3, 4), "tc": (1, 2, 3), "et": (1,)}


@given(
    names=st.tuples(st.sampled_from(EDEMA), st.sampled_from(CORE), st.sampled_from(ENHANCING)),
    values=st.permutations([1, 2, 3]),
    change_case=st.sampled_from([str.upper, str.lower, str.title]),
)
def test_spelling_and_numbers_do_not_matter(names, values, change_case):
    edema, core, enhancing = values
    labels = {0: "background"} | {value: change_case(name) for value, name in zip(values, names, strict=True)}
    regions = brain_tumour_regions(labels)
    assert {region: set(classes) for region, classes in regions.items()} == {
        "wt": {edema, core, enhancing},
        "tc": {core, enhancing},
        "et": {enhancing},
    }


@pytest.mark.parametrize(
    "name", ["pancreas", "tumour core", "enhancing and non-enhancing tumour", "edema and necrosis", "planet", ""]
)
def test_a_name_that_says_nothing_or_two_things_is_listed(name):
    labels = {0: "background", 1: "edema", 2: "necrosis", 3: "ET", 6: name}
    with pytest.raises(UserError, match=f"not understood: 6 '{name}'; change .* oedema"):
        brain_tumour_regions(labels)


def test_what_is_missing_is_listed():
    with pytest.raises(UserError, match=r"missing: edema, enhancing; change"):
        brain_tumour_regions({0: "background", 1: "necrosis"})
    with pytest.raises(UserError, match=r"not understood: 1 'pancreas', 2 'cancer'; missing: core, edema, enhancing;"):
        brain_tumour_regions({0: "background", 1: "pancreas", 2: "cancer"})
