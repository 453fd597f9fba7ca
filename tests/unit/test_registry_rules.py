"""What the model registry takes for names, versions, aliases and stages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstone.events import registry_rules as rules
from runstone.exceptions import InvalidInputError


@pytest.mark.parametrize("name", ["churn", "größe αβγ", "a.b", "with space", "m-1", "a@b", "-"])
def test_a_name_may_hold_whatever_does_not_lead_elsewhere(name: str) -> None:
    rules.check_model_name(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "Missing value for required parameter 'name'."),
        (" \n", "Missing value for required parameter 'name'."),
        ("a/b", "Invalid model name 'a/b'. Names cannot contain '/' or ':'."),
        ("a:b", "Invalid model name 'a:b'. Names cannot contain '/' or ':'."),
        (".", "Names may be treated as files in certain cases, and must not resolve to other names"),
        (
            "x" * (rules.MODEL_NAME_MAX + 1),
            f"'name' exceeds the maximum length of {rules.MODEL_NAME_MAX} characters",
        ),
    ],
)
def test_a_name_that_no_model_may_have_is_refused_in_mlflows_words(name: str, message: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        rules.check_new_model_name(name)
    assert message in str(refused.value)


def test_a_name_that_is_too_long_for_a_model_may_be_asked_for() -> None:
    rules.check_model_name("x" * (rules.MODEL_NAME_MAX + 1))


def test_a_new_name_that_is_empty_is_called_by_its_own_parameter() -> None:
    with pytest.raises(InvalidInputError, match="required parameter 'new_name'"):
        rules.check_model_name(" ", "new_name")


@given(st.text(max_size=30))
def test_a_versions_number_is_one_that_exists_or_none_or_refused(text: str) -> None:
    try:
        written = int(text)
    except ValueError:
        with pytest.raises(InvalidInputError, match="Parameter 'version' must be an integer"):
            rules.version_number(text)
    else:
        assert rules.version_number(text) in {0, written}


@pytest.mark.parametrize(
    ("alias", "message"),
    [
        ("", "Registered model alias name cannot be empty."),
        ("a b", "Names may only contain alphanumerics"),
        ("a\n", "Names may only contain alphanumerics"),
        ("a" * 256, "'Registered model alias name' exceeds the maximum length of 255 characters"),
        ("Latest", "'latest' alias name (case insensitive) is reserved."),
        ("v12", "Version alias name 'v12' is reserved."),
    ],
)
def test_an_alias_that_nobody_may_set_is_refused(alias: str, message: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        rules.check_new_alias(alias)
    assert message in str(refused.value)


def test_an_alias_that_means_something_already_may_be_asked_for() -> None:
    rules.check_alias("latest")
    rules.check_alias("v1")


def test_a_stage_is_taken_in_any_case_and_written_in_one() -> None:
    assert [rules.canonical_stage(s) for s in ("none", "STAGING", "Production", "archived")] == list(
        rules.STAGES
    )
    with pytest.raises(InvalidInputError, match="Invalid Model Version stage: best"):
        rules.canonical_stage("best")


def test_only_stages_that_are_in_use_can_be_cleared() -> None:
    rules.check_archiving("staging")
    with pytest.raises(InvalidInputError, match="'None' is not an Active stage"):
        rules.check_archiving("None")
