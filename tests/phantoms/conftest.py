import pytest
from drawn import SIZES, draw


@pytest.fixture(scope="session")
def datasets(tmp_path_factory):
    """A small dataset of each kind, which tests leave as it is."""
    return {kind: draw(tmp_path_factory.mktemp(kind), kind) for kind in SIZES}
