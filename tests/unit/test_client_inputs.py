"""What callers may hand in, and how a mistake is told apart from data."""

import math
from array import array
from decimal import Decimal
from enum import Enum
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstone import inputs
from runstone.events import limits
from runstone.events.types import check_text
from runstone.exceptions import InvalidInputError


class Scalar:
    """A 0-d tensor of a foreign library."""

    def __float__(self):
        return 1.5


@pytest.mark.parametrize(
    "value",
    [1.5, np.float32(1.5), np.array(1.5), Decimal("1.5"), Fraction(3, 2), Scalar()],
    ids=lambda v: type(v).__name__,
)
def test_a_value_is_whatever_float_takes(value):
    assert inputs.number(value, "k") == 1.5


def test_truth_values_and_integers_are_numbers():
    assert inputs.number(True, "k") == 1.0
    assert inputs.number(np.int64(7), "k") == 7.0
    assert math.isnan(inputs.number(math.nan, "k"))


@pytest.mark.parametrize(
    "value", ["1.5", b"1", None, [], {}, object(), 1j, 10**400, np.zeros(2)], ids=lambda v: type(v).__name__
)
def test_a_value_that_float_refuses_or_a_text_is_refused(value):
    with pytest.raises(InvalidInputError, match="metric 'loss': a value must be a number"):
        inputs.number(value, "loss")


@given(st.one_of(st.integers(max_value=-(2**63) - 1), st.integers(min_value=2**63)))
def test_a_step_outside_of_64_bits_is_refused(step):
    with pytest.raises(InvalidInputError, match="64 bits"):
        inputs.step_number(step, "k")


@pytest.mark.parametrize("step", ["1", 1.5, [], Scalar()], ids=lambda v: type(v).__name__)
def test_a_step_that_is_no_whole_number_is_refused(step):
    with pytest.raises(InvalidInputError, match="whole number"):
        inputs.step_number(step, "k")


@pytest.mark.parametrize("key", ["", "x" * 251, "a\nb", "a\0b", "a\x7fb", "\ud800", 5, None, b"k", []])
def test_a_key_that_names_nothing_is_refused(key):
    with pytest.raises(InvalidInputError, match="a param's key must be a text of 1 to 250 characters"):
        inputs.checked_key(key, "param")


@pytest.mark.parametrize("key", ["loss", "val/loss", "x" * 250, "Verlust ü 損失", " ", np.str_("np")])
def test_any_other_text_is_a_key(key):
    found = inputs.checked_key(key, "metric")
    assert found == key
    assert type(found) is str


@given(st.text(st.characters()), st.integers(1, 50))
def test_every_text_becomes_one_that_the_ledger_holds(value, longest):
    found, done = inputs.text(value, longest)
    check_text(found)
    found.encode()
    assert len(found) <= longest
    assert (found == value) == (done == "")


def test_anything_becomes_its_text():
    assert inputs.text(None, 10) == ("None", "")
    assert inputs.text([1, 2], 10) == ("[1, 2]", "")
    assert inputs.text("x" * 20, 10) == ("x" * 10, "truncated from 20 to 10 characters")
    assert inputs.text("a\0b", 10) == ("a\N{REPLACEMENT CHARACTER}b", "rid of NUL or half surrogate pairs")


@pytest.mark.parametrize(
    "given_values",
    [[1.0, 2.0], (1, 2), array("d", [1, 2]), np.array([1.0, 2.0]), np.array([1, 2], "f4"), iter([True, 2]),
     np.array([[1.0, 9], [2, 9]])[:, 0], [Decimal(1), Scalar.__float__(Scalar()) + 0.5]],
    ids=lambda v: type(v).__name__,
)  # fmt: skip
def test_series_values_come_from_any_sequence(given_values):
    assert inputs.numbers(given_values, "k") == array("d", [1, 2])


@pytest.mark.parametrize(
    "given_values", ["12", [1, "2"], 5, [None], {0: 1.5}, np.array(5.0)], ids=lambda v: type(v).__name__
)
def test_series_values_that_are_no_numbers_are_refused(given_values):
    with pytest.raises(InvalidInputError, match="metric 'k'"):
        inputs.numbers(given_values, "k")


@pytest.mark.parametrize(
    "steps", [[1, 2], range(1, 3), np.array([1, 2]), array("q", [1, 2])], ids=lambda v: type(v).__name__
)
def test_series_steps_come_from_any_sequence(steps):
    assert inputs.step_numbers(steps, "k") == array("q", [1, 2])


@pytest.mark.parametrize("steps", [[2**63], [1.5], ["1"]], ids=lambda v: type(v).__name__)
def test_series_steps_outside_of_64_bits_are_refused(steps):
    with pytest.raises(InvalidInputError, match="a step must"):
        inputs.step_numbers(steps, "k")


@pytest.mark.parametrize("time", [-1, 2**63, 1.5, "1", None], ids=repr)
def test_a_time_that_is_none_is_refused_as_a_time(time):
    with pytest.raises(InvalidInputError, match=r"a time must be .*milliseconds since 1970"):
        inputs.time_number(time, "k")
    with pytest.raises(InvalidInputError, match=r"a time must be .*milliseconds since 1970"):
        inputs.time_numbers([5, time], "k")


@pytest.mark.parametrize("times", [[-1], [limits.TIME_MAX + 1]], ids=lambda v: type(v).__name__)
def test_series_times_outside_of_the_calendar_are_refused(times):
    with pytest.raises(InvalidInputError, match="milliseconds since 1970"):
        inputs.time_numbers(times, "k")


@pytest.mark.parametrize(
    "path", ["../x", "/x", "a/../b", "a//b", ".", "a/", "", "a\\b", "a\0b", "x" * 1001, "C:/x", 5]
)
def test_an_artifact_path_that_leaves_the_run_is_refused(path):
    with pytest.raises(InvalidInputError, match=r"^artifact_path: .*(expected|at most)"):
        inputs.checked_artifact_path(path, "artifact_path")


@pytest.mark.parametrize("path", ["x", "a/b.txt", "..x", "a/..b", "ü/損"])
def test_any_other_relative_path_is_an_artifacts(path):
    assert inputs.checked_artifact_path(path, "artifact_path") == path


def test_a_run_id_is_32_hexadecimal_digits_with_or_without_a_uuids_dashes():
    plain = "0123456789abcdef" * 2
    assert inputs.checked_run_id(plain, "run_id") == plain
    assert inputs.checked_run_id("01234567-89AB-CDEF-0123-456789abcdef", "run_id") == plain
    for bad in ("", "exp-42", plain + "0", None):
        with pytest.raises(InvalidInputError, match="no run's id"):
            inputs.checked_run_id(bad, "run_id")


class Hostile:
    """An object that fails wherever it is asked anything."""

    def __float__(self):
        raise KeyError("float")

    def __index__(self):
        raise KeyError("index")

    def __str__(self):
        raise KeyError("str")

    def __repr__(self):
        raise KeyError("repr")


@pytest.mark.parametrize("value", [Hostile(), 10**5000], ids=lambda v: type(v).__name__)
def test_what_cannot_even_be_shown_is_refused_all_the_same(value):
    for refuse in (
        lambda: inputs.number(value, "loss"),
        lambda: inputs.numbers([value], "loss"),
        lambda: inputs.step_number(value, value),
        lambda: inputs.checked_key(value, "metric"),
        lambda: inputs.text(value, 100),
        lambda: inputs.checked_name(value, "an experiment's name", 500),
        lambda: inputs.checked_run_id(value, "run_id"),
        lambda: inputs.checked_status(value),
        lambda: inputs.checked_artifact_path(value, "artifact_path"),
    ):
        with pytest.raises(InvalidInputError):
            refuse()


def test_values_that_fail_half_way_are_refused_with_the_reason():
    def loader():
        yield 1.0
        raise OSError("the disk is gone")

    with pytest.raises(InvalidInputError, match="the disk is gone"):
        inputs.numbers(loader(), "loss")


def test_a_text_of_a_derived_type_is_its_characters():
    class Key(str, Enum):  # noqa: UP042  # one that shows itself as Key.LOSS
        LOSS = "loss"

    assert inputs.checked_key(Key.LOSS, "metric") == "loss"
    assert type(inputs.checked_key(Key.LOSS, "metric")) is str


@pytest.mark.parametrize("timeout", ["1", None, math.nan, 1j])
def test_a_timeout_that_is_no_number_is_refused(timeout):
    with pytest.raises(InvalidInputError, match="number of seconds"):
        inputs.seconds(timeout)
