"""One bad row never costs the others, wherever it is: of N, N - 1 are kept and one is told."""

import random

import pytest

pytest.importorskip("pyarrow")
from tests.support.spoiled import WAYS, Count


@pytest.mark.parametrize("way", WAYS)
def test_one_of_many(tmp_path, way):
    """In 12 draws of what is spoilt, and how."""
    for seed in range(12):
        place = tmp_path / str(seed)
        place.mkdir()
        assert WAYS[way](place, random.Random(seed), 7) == Count(6, 1), (way, seed)
