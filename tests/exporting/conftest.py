"""Each kind of trained run."""

import pytest
from trained_runs import FINETUNED

FEW = ("segmentation", "classification")


@pytest.fixture(params=[*FEW, *(pytest.param(each, marks=pytest.mark.slow) for each in FINETUNED if each not in FEW)])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param
