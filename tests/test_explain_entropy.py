from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.errors import InputError
from medvision.explain import entropy


def test_the_entropy_of_equal_classes_is_the_logarithm_of_their_number() -> None:
    for classes in (2, 4, 5):
        found = entropy(np.full((classes, 2, 3, 4), 1 / classes))
        assert found.shape == (2, 3, 4)
        assert found.dtype == np.float32
        assert np.allclose(found, np.log2(classes), atol=1e-6)


def test_a_sure_answer_has_no_entropy() -> None:
    assert not entropy(np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])).any()


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=6).filter(lambda parts: sum(parts) > 0.1), st.randoms())
def test_the_order_of_classes_does_not_matter_and_the_logarithm_of_their_number_is_the_most(
    parts: list[float], random: object
) -> None:
    shares = np.array(parts)[:, None] / sum(parts)
    found = entropy(shares)
    random.shuffle(parts)  # type: ignore[attr-defined]
    assert np.allclose(found, entropy(np.array(parts)[:, None] / sum(parts)), atol=1e-5)
    assert 0 <= found[0] <= np.log2(len(parts)) + 1e-5


def test_the_probabilities_are_left_alone() -> None:
    given_values = np.array([[0.5, 0.0], [0.5, 1.0]], dtype=np.float32)
    before = given_values.copy()
    entropy(given_values)
    assert np.array_equal(given_values, before)


@pytest.mark.parametrize(
    ("values", "code"),
    [
        (np.ones((1, 4, 4)), "bad-header"),
        (np.array([0.5, 0.5]), "bad-header"),
        (np.array([[0.6], [0.6]]), "not-finite"),
        (np.array([[1.5], [-0.5]]), "not-finite"),
        (np.array([[np.nan], [1.0]]), "not-finite"),
        (np.array([[3.0], [-2.0]]), "not-finite"),
    ],
)
def test_what_is_no_probability_is_refused(values: np.ndarray, code: str) -> None:
    with pytest.raises(InputError) as caught:
        entropy(values)
    assert caught.value.code == code
