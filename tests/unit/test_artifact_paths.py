"""Which artifact paths are accepted: those that stay within their run, in every encoding."""

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstone.events.artifact_paths import check_artifact_path, location
from runstone.exceptions import InvalidInputError

RUN = "0190f5d8e4b07c3a9b1d2e3f4a5b6c7d"


@pytest.mark.parametrize(
    "path",
    [
        "model.pkl",
        "model/model.pkl",
        "a b/größe.txt",
        ".hidden",
        "...",
        "%2e%2e/x",
        "~",
        "1:30.txt",
        "a" * 255,
        "ü" * 127,
        "a/" * 449 + "bc",
    ],
)
def test_a_relative_path_within_the_run_is_accepted(path):
    assert check_artifact_path(path) == path


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("", "is empty"),
        ("/etc/passwd", "is absolute"),
        ("C:/x", "is absolute"),
        ("../x", "'..'"),
        ("a/../../x", "'..'"),
        ("a/./b", "'.'"),
        ("a//b", "an empty part"),
        ("a/", "an empty part"),
        ("a\\b", "a backslash"),
        ("a\0b", "a control character"),
        ("a\nb", "a control character"),
        ("a\ud800", "half a surrogate pair"),
        ("a\x85b", "a control character"),
        ("a" * 256, "255 in each name"),
        ("ü" * 128, "255 in each name"),
        ("a/" * 450 + "b", "at most 900 bytes"),
    ],
)
def test_any_other_path_is_refused_with_the_rule_it_breaks(path, rule):
    with pytest.raises(InvalidInputError, match=rule):
        check_artifact_path(path)


@given(st.text(st.sampled_from("./\\:a\0%2e"), max_size=12))
def test_no_accepted_path_leaves_its_run(path):
    try:
        check_artifact_path(path)
    except InvalidInputError:
        return
    place = location(7, RUN, path)
    assert place.is_relative_to(location(7, RUN))
    assert ".." not in place.parts
    assert place != PurePosixPath("7", RUN, "artifacts")
