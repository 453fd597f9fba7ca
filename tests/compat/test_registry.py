"""The model registry: models, versions, aliases, stages, tags, searches."""

import mlflow

from tests.compat.differential import On, differential

ABSENT_RUN = "0" * 32


def registered(on: On, suffix: str = "", versions: int = 0) -> str:
    """The name of a registered model with *versions* versions of one run's files."""
    name = on.name(suffix)
    on.client.create_registered_model(name)
    if versions:
        run = on.run(on.experiment(f"{suffix}-runs"), start_time=1)
        for number in range(versions):
            on.client.create_model_version(name, f"runs:/{run}/model{number}", run)
    return name


@differential
def test_a_registered_model_is_made_read_renamed_and_deleted(on: On) -> None:
    name = on.name()
    on.see(on.client.create_registered_model, name, tags={"a": "1"}, description="said")
    on.see(on.client.create_registered_model, name)
    on.see(on.client.get_registered_model, name)
    on.see(on.client.update_registered_model, name, "said again")
    on.see(on.client.update_registered_model, name, "")
    on.see(on.client.rename_registered_model, name, on.name("-renamed"))
    on.see(on.client.get_registered_model, name)
    on.see(on.client.get_registered_model, on.name("-renamed"))
    on.see(on.client.create_registered_model, name)
    on.see(on.client.rename_registered_model, on.name("-renamed"), name)
    on.see(on.client.rename_registered_model, on.name("-renamed"), "")
    on.see(on.client.delete_registered_model, name)
    on.see(on.client.delete_registered_model, name)
    on.see(on.client.get_registered_model, name)
    on.see(on.client.update_registered_model, name, "x")
    on.see(on.client.rename_registered_model, name, "x")
    on.see(on.client.create_registered_model, name)
    on.see(on.client.get_registered_model, name)
    for odd in ("", "a/b", "a:b", "ünï ✓", " ", "x" * 256, "x" * 257, None, 5):
        on.see(on.client.create_registered_model, odd)
        on.see(on.client.get_registered_model, odd)
        if odd:
            on.see(on.client.delete_registered_model, odd)
    on.see(on.client.create_registered_model, on.name("-long"), description="x" * 6000)
    on.see(on.client.create_registered_model, on.name("-tags"), tags={"bad!": "1"})


@differential
def test_tags_of_a_registered_model(on: On) -> None:
    name = registered(on)
    on.see(on.client.set_registered_model_tag, name, "a", "1")
    on.see(on.client.set_registered_model_tag, name, "a", 2)
    on.see(on.client.set_registered_model_tag, name, "bad!", "1")
    on.see(on.client.set_registered_model_tag, name, "", "1")
    on.see(on.client.set_registered_model_tag, name, "long", "x" * 100_000)
    on.see(on.client.set_registered_model_tag, name, "longer", "x" * 100_001)
    on.see(on.client.set_registered_model_tag, on.name("-no"), "a", "1")
    on.see(on.client.delete_registered_model_tag, name, "a")
    on.see(on.client.delete_registered_model_tag, name, "a")
    on.see(on.client.delete_registered_model_tag, on.name("-no"), "a")
    on.see(on.client.set_registered_model_tag, name, "kept", "1")
    on.see(on.client.delete_registered_model_tag, name, "long")
    on.see(on.client.get_registered_model, name)


@differential
def test_versions_are_counted_from_one_and_never_again(on: On) -> None:
    name = on.name()
    where = on.experiment("-runs")
    run = on.run(where, start_time=1)
    on.client.create_registered_model(name)
    on.see(
        on.client.create_model_version, name, f"runs:/{run}/model", run, tags={"k": "v"}, description="one"
    )
    on.see(on.client.create_model_version, name, f"mlflow-artifacts:/{where}/{run}/artifacts/model", run)
    on.see(on.client.create_model_version, name, f"runs:/{run}/model")
    on.see(on.client.create_model_version, name, "mlflow-artifacts:/elsewhere/model")
    on.see(on.client.delete_model_version, name, "4")
    on.see(on.client.create_model_version, name, f"runs:/{run}/model", run)
    on.see(on.client.delete_model_version, name, 2)
    on.see(on.client.create_model_version, name, f"runs:/{run}/model", run, run_link="http://x/y")
    for version in ("1", 2, "3", "4", "5", "6", "7", "x", 0, -1, "1.5", ""):
        on.see(on.client.get_model_version, name, version)
    on.see(on.client.get_registered_model, name)
    on.see(on.client.update_model_version, name, "1", "changed")
    on.see(on.client.update_model_version, name, "2", "gone")
    on.see(on.client.get_model_version, name, "1")
    on.see(on.client.get_model_version_download_uri, name, "1")
    on.see(on.client.get_model_version_download_uri, name, "2")
    on.see(on.client.delete_model_version, name, "2")
    on.see(on.client.delete_model_version, name, "99")
    on.see(on.client.create_model_version, on.name("-no"), f"runs:/{run}/model", run)
    on.see(on.client.create_model_version, name, "", run)
    for source in (
        "file:///etc/passwd",
        "/etc/passwd",
        "mlflow-artifacts:/a/../b",
        "s3://b/p",
        "http://x/y",
        f"runs:/{ABSENT_RUN}/m",
        "models:/m-" + "0" * 32,
    ):
        on.see(on.client.create_model_version, name, source)
        on.see(on.client.create_model_version, name, source, run)
    on.see(on.client.create_model_version, name, f"runs:/{run}/model", ABSENT_RUN)
    on.see(on.client.search_model_versions, f"name = '{name}'")
    on.see(on.client.rename_registered_model, name, on.name("-renamed"))
    on.see(on.client.get_model_version, on.name("-renamed"), "1")
    on.see(on.client.delete_registered_model, on.name("-renamed"))
    on.see(on.client.get_model_version, on.name("-renamed"), "1")
    on.see(on.client.create_registered_model, on.name("-renamed"))
    on.see(on.client.create_model_version, on.name("-renamed"), f"runs:/{run}/model", run)


@differential
def test_tags_of_a_version(on: On) -> None:
    name = registered(on, versions=1)
    on.see(on.client.set_model_version_tag, name, "1", "a", "1")
    on.see(on.client.set_model_version_tag, name, "1", "a", "2")
    on.see(on.client.set_model_version_tag, name, "1", "bad!", "2")
    on.see(on.client.set_model_version_tag, name, "2", "a", "2")
    on.see(on.client.set_model_version_tag, name, "x", "a", "2")
    on.see(on.client.set_model_version_tag, on.name("-no"), "1", "a", "2")
    on.see(on.client.get_model_version, name, "1")
    on.see(on.client.delete_model_version_tag, name, "1", "a")
    on.see(on.client.delete_model_version_tag, name, "1", "a")
    on.see(on.client.delete_model_version_tag, name, "2", "a")
    on.see(on.client.get_model_version, name, "1")


@differential
def test_an_alias_names_one_version(on: On) -> None:
    name = registered(on, versions=2)
    on.see(on.client.set_registered_model_alias, name, "champion", "1")
    on.see(on.client.get_model_version_by_alias, name, "champion")
    on.see(on.client.set_registered_model_alias, name, "champion", "2")
    on.see(on.client.set_registered_model_alias, name, "other", 2)
    on.see(on.client.get_model_version_by_alias, name, "champion")
    on.see(on.client.get_registered_model, name)
    on.see(on.client.get_model_version, name, "2")
    on.see(on.client.get_model_version_by_alias, name, "never")
    for alias in (
        "",
        "latest",
        "Latest",
        "v1",
        "V2",
        "1",
        "a b",
        "a/b",
        "ünï",
        "x" * 255,
        "x" * 256,
        "a.b-c_d",
    ):
        on.see(on.client.set_registered_model_alias, name, alias, "1")
    on.see(on.client.set_registered_model_alias, name, "champion", "9")
    on.see(on.client.set_registered_model_alias, on.name("-no"), "champion", "1")
    on.see(on.client.delete_registered_model_alias, name, "other")
    on.see(on.client.delete_registered_model_alias, name, "other")
    on.see(on.client.delete_model_version, name, "2")
    on.see(on.client.get_model_version_by_alias, name, "champion")
    on.see(on.client.get_registered_model, name)
    on.see(on.client.delete_registered_model_alias, on.name("-no"), "champion")
    on.see(on.client.get_model_version_by_alias, on.name("-no"), "champion")


@differential
def test_a_version_passes_through_stages(on: On) -> None:
    name = registered(on, versions=3)
    for version, stage, archive in (
        ("1", "Staging", False),
        ("2", "Production", False),
        ("3", "production", True),
        ("1", "None", False),
        ("1", "Archived", False),
        ("1", "Nonsense", False),
        ("1", "Archived", True),
        ("9", "Staging", False),
    ):
        on.see(
            on.client.transition_model_version_stage, name, version, stage, archive_existing_versions=archive
        )
    on.see(on.client.get_latest_versions, name)
    on.see(on.client.get_latest_versions, name, ["Production"])
    on.see(on.client.get_latest_versions, name, ["production", "Staging"])
    on.see(on.client.get_latest_versions, name, ["Nonsense"])
    on.see(on.client.get_latest_versions, on.name("-no"))
    on.see(on.client.get_registered_model, name)
    on.see(on.client.search_model_versions, f"name = '{name}'")


@differential
def test_registered_models_are_searched(on: On) -> None:
    own = on.name("-")
    for suffix, versions, tags in (
        ("a", 2, {"t": "x"}),
        ("b", 0, {"t": "X", "u": "1"}),
        ("C", 1, {}),
        ("d_1", 0, {"t": "y"}),
    ):
        name = registered(on, f"-{suffix}", versions)
        for key, value in tags.items():
            on.client.set_registered_model_tag(name, key, value)
    like = f"name LIKE '{own}%'"
    for text in (
        like,
        f"name ILIKE '{own.upper()}%'",
        f"name = '{own}a'",
        f"{like} AND name != '{own}a'",
        f"{like} AND name ILIKE '%c'",
        f"{like} AND tags.t = 'x'",
        f"{like} AND tags.t != 'x'",
        f"{like} AND tags.t ILIKE 'x'",
        f"{like} AND tags.t LIKE '%'",
        f"{like} AND tags.t = 'X' AND tags.u = '1'",
        f"{like} AND tags.absent = 'x'",
        f"{like} AND tag.`t` = 'x'",
        "tags.t > 'x'",
        "name > 'a'",
        "name IN ('a')",
        f"name = '{own}a' OR name = '{own}b'",
        "run_id = 'x'",
        "description = 'x'",
        "creation_timestamp > 0",
        "nonsense",
        "name = unquoted",
        f"name = '{own}a' AND",
    ):
        on.see(on.client.search_registered_models, text)
    for order in (
        ["name"],
        ["name DESC"],
        ["last_updated_timestamp"],
        ["last_updated_timestamp DESC"],
        ["timestamp DESC"],
        ["name", "name"],
        ["creation_timestamp"],
        ["nonsense"],
        ["name SIDEWAYS"],
        [""],
    ):
        on.see(on.client.search_registered_models, like, order_by=order)
    page = on.see(on.client.search_registered_models, like, max_results=3)
    on.see(on.client.search_registered_models, like, max_results=3, page_token=page.token)
    for size in (0, -1, 1000, 1001, "x"):
        on.see(on.client.search_registered_models, like, max_results=size)
    on.see(on.client.search_registered_models, like, page_token="junk")
    on.see(mlflow.search_registered_models, filter_string=like)


@differential
def test_model_versions_are_searched(on: On) -> None:
    name, other = registered(on, "-a", 3), registered(on, "-b", 1)
    run = on.client.get_model_version(name, "1").run_id
    on.client.set_model_version_tag(name, "1", "t", "x")
    on.client.set_model_version_tag(name, "2", "t", "X")
    on.client.set_registered_model_alias(name, "champion", "3")
    like = f"name LIKE '{on.name('-')}%'"
    for text in (
        like,
        f"name = '{name}'",
        f"name IN ('{name}', '{other}')",
        f"name ILIKE '{name.upper()}'",
        f"{like} AND name != '{name}'",
        f"run_id = '{run}'",
        f"run_id IN ('{run}')",
        f"run_id IN ('{run}', '{ABSENT_RUN}') AND name = '{name}'",
        "run_id IN ()",
        f"source_path = 'runs:/{run}/model0'",
        f"source_path LIKE 'runs:/{run}/%'",
        f"{like} AND version_number = 1",
        f"{like} AND version_number > 1",
        f"{like} AND version_number <= 2",
        f"{like} AND version_number = '1'",
        f"{like} AND tags.t = 'x'",
        f"{like} AND tags.t != 'x'",
        f"{like} AND tags.t ILIKE 'x'",
        f"{like} AND aliases = 'champion'",
        f"name = '{name}' AND tags.t = 'x' AND run_id = '{run}'",
        "version = '1'",
        "current_stage = 'None'",
        "nonsense",
        f"name = '{name}' OR name = '{other}'",
        "run_id LIKE 'x'",
    ):
        on.see(on.client.search_model_versions, text, order_by=["name", "version_number"])
    for order in (
        ["name ASC", "version_number DESC"],
        ["version_number", "name"],
        ["last_updated_timestamp", "name", "version_number"],
        ["creation_timestamp DESC", "name", "version_number"],
        ["nonsense"],
        ["name", "name"],
        ["run_id"],
    ):
        on.see(on.client.search_model_versions, like, order_by=order)
    on.see(on.client.search_model_versions, like)
    page = on.see(on.client.search_model_versions, like, max_results=3, order_by=["name", "version_number"])
    on.see(
        on.client.search_model_versions,
        like,
        max_results=3,
        order_by=["name", "version_number"],
        page_token=page.token,
    )
    for size in (0, -1, 200_000, 200_001):
        on.see(on.client.search_model_versions, like, max_results=size)
    on.see(on.client.search_model_versions, like, page_token="junk")
    on.client.delete_model_version(name, "2")
    on.see(on.client.search_model_versions, like, order_by=["name", "version_number"])
    on.see(mlflow.search_model_versions, filter_string=like, order_by=["name", "version_number"])
