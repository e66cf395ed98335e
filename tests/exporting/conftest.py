"""Each kind of trained run."""

import pytest
from trained_runs import FINETUNED


@pytest.fixture(params=FINETUNED)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param
