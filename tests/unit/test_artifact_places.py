"""What the paths of MLflow's artifact proxy mean: those that stay, those that are refused, whose files they are."""

from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstone.events.artifact_paths import check_artifact_path
from runstone.events.artifact_roots import Bucket, parse_root, uri_below
from runstone.exceptions import InvalidInputError
from runstone_gateway.mlflow.artifact_locations import key_of, location_of, model_root, run_root
from runstone_gateway.mlflow.artifact_places import (
    Owner,
    check_file,
    check_path,
    check_reading,
    decoded,
    is_hidden,
    is_listed,
    owner_of,
)
from runstone_gateway.mlflow.errors import MlflowError
from runstone_gateway.sending import disposition

RUN = "0190f5d8e4b07c3a9b1d2e3f4a5b6c7d"
MODEL = "m-0190f5d8e4b07c3a9b1d2e3f4a5b6c7d"


@pytest.mark.parametrize(
    "path",
    [
        "a",
        "a b/größe.txt",
        "...",
        "..a",
        "1:30.txt",
        "100%",
        "50%25",
        "~/x",
        "a" * 255,
        "%zz",
        "models/x",
        "fields",
    ],
)
def test_a_path_that_stays_is_taken_as_it_is(path):
    assert check_file(path) == path


@given(
    st.integers(0, 4),
    st.sampled_from(["..", "../x", "a/../b", "/etc", "a\\b", "a\0b", "C:/x", "a\nb", "a/./b"]),
)
def test_what_leads_elsewhere_is_refused_however_often_it_is_encoded(times, path):
    for _ in range(times):
        path = quote(path, safe="")
    with pytest.raises(MlflowError) as refused:
        check_path(path)
    assert (refused.value.status, refused.value.code) == (400, "INVALID_PARAMETER_VALUE")


@given(st.text(st.sampled_from("./\\:a\0%2eE5cCfF#"), max_size=16))
def test_no_accepted_path_leaves_its_folder_at_any_level_of_encoding(path):
    try:
        check_path(path)
    except MlflowError:
        return
    for _ in range(12):
        assert ".." not in path.split("/")
        assert not path.startswith("/")
        assert "\\" not in path
        assert "\0" not in path
        try:
            path = decoded(path)
        except MlflowError:
            return


def test_a_path_that_is_only_looked_at_may_have_parts_that_say_nothing():
    assert check_reading("./a//b/.") == "a/b"
    assert check_reading(".") == ""
    for path in ("..", "a/./..", "/a", "./%2e%2e", "a//%2f..", "%2fetc"):
        with pytest.raises(MlflowError):
            check_reading(path)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("file.txt", "filename=file.txt"),
        ('a "b" \\.txt', r'filename="a \"b\" \\.txt"'),
        ("größe.txt", "filename=groe.txt; filename*=UTF-8''gr%C3%B6%C3%9Fe.txt"),
        ("日本", "filename=download; filename*=UTF-8''%E6%97%A5%E6%9C%AC"),
    ],
)
def test_a_file_is_saved_under_its_name(name, said):
    assert disposition(name) == f"attachment; {said}"


@given(st.text(max_size=30))
def test_every_path_that_passes_here_passes_the_contracts_own_rule(path):
    try:
        check_file(path)
    except MlflowError:
        return
    try:
        check_artifact_path(path)
    except InvalidInputError as wrong:
        pytest.fail(str(wrong))


@pytest.mark.parametrize(
    ("key", "owner"),
    [
        (f"7/{RUN}/artifacts/a/b", Owner(RUN, "", "a/b")),
        (f"7/{RUN}/artifacts", Owner(RUN, "", "")),
        (f"7/models/{MODEL}/artifacts/MLmodel", Owner("", MODEL, "MLmodel")),
        (f"teams/vision/{RUN}/artifacts/x", Owner(RUN, "", "x")),
        (f"7/{RUN}/artifacts/models/{MODEL}/artifacts/x", Owner(RUN, "", f"models/{MODEL}/artifacts/x")),
        (f"7/{RUN}", None),
        ("7/models/x/artifacts/y", None),
        ("artifacts/x", None),
        (f"7/{RUN.upper()}/artifacts/x", None),
    ],
)
def test_a_file_is_the_runs_or_the_models_whose_folder_it_is_in(key, owner):
    assert owner_of(key) == owner


def test_the_stores_own_files_are_hidden_and_nobody_elses():
    for own in (".runstone-installation", f"7/{RUN}/fields", f"7/{RUN}/fields/ab", f"7/{RUN}/artifacts/.{RUN}.part",
                f"7/{RUN}/artifacts/.00000012-0a1b2c3d.4711.part"):  # fmt: skip
        assert is_hidden(own)
        with pytest.raises(MlflowError):
            check_file(own)
    for other in (
        f"7/{RUN}/artifacts/fields/x",
        f"7/{RUN}/artifacts/x.part",
        "7/models/fields",
        f"7/{RUN}/artifacts/.part",
    ):
        assert not is_hidden(other)
        assert is_listed("", other.rpartition("/")[2])


def test_names_for_which_mlflows_client_refuses_a_whole_listing_are_not_listed():
    for name in ("%2e%2e%2fup", "a#b", "%5c", "a\\b", "a\nb", ".runstone-installation"):
        assert not is_listed("", name)
    for name in ("..a", "a%20b", "é", "100%", "a b.txt"):
        assert is_listed(f"7/{RUN}/artifacts", name)


@pytest.mark.parametrize(
    ("named", "root"),
    [
        ("/srv/a b", Path("/srv/a b")),
        ("file:///srv/a%20b", Path("/srv/a b")),
        ("s3://bucket", Bucket("bucket")),
        ("s3://my.bucket-1/a b/c/", Bucket("my.bucket-1", "a b/c")),
    ],
)
def test_a_root_is_a_folder_or_a_bucket(named, root):
    assert parse_root(named) == root


@pytest.mark.parametrize(
    "named", ["", "relative", "http://x/y", "s3:/x", "s3://", "s3://B", "s3://ab", "s3://bucket/a//b", "s3://bucket/../x",
              "gs://bucket", "file:relative"],
)  # fmt: skip
def test_anything_else_is_refused_and_the_variable_named(named):
    with pytest.raises(InvalidInputError, match="RUNSTONE_ARTIFACT_ROOT"):
        parse_root(named)


@given(st.text(min_size=1, max_size=30))
def test_a_uri_below_a_root_leads_back_to_its_key_and_to_no_other(path):
    try:
        key = f"7/{RUN}/artifacts/{check_artifact_path(path)}"
    except InvalidInputError:
        return
    for root in (Path("/srv/a b%20c"), Bucket("bucket", "some/prefix")):
        assert key_of(uri_below(root, key), root) == key
    assert Bucket("bucket", "some/prefix").key_of(f"s3://bucket/some/prefixed/{key}") is None
    assert Bucket("bucket", "other").key_of(uri_below(Bucket("bucket", "some/prefix"), key)) is None


def test_only_what_lies_in_the_store_has_a_key():
    folder, bucket = Path("/srv/store"), Bucket("bucket", "pre")
    location = location_of(7, {"artifact_location": ""})
    assert key_of(run_root(location, RUN), folder) == f"7/{RUN}/artifacts"
    assert (
        key_of(model_root("mlflow-artifacts:/teams/x", MODEL), bucket) == f"teams/x/models/{MODEL}/artifacts"
    )
    assert key_of("file:///srv/store/7/x", folder) == "7/x"
    for uri, root in (
        ("file:///etc/passwd", folder),
        ("file:///srv/store/7/x", bucket),
        ("s3://bucket/pre/x", folder),
        ("s3://other/pre/x", bucket),
        ("s3://bucket/pre/../x", bucket),
        ("http://localhost/pre/x", bucket),
        ("mlflow-artifacts://elsewhere/x", bucket),
        ("file://elsewhere/srv/store/x", folder),
    ):
        assert key_of(uri, root) is None, uri
