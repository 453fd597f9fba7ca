"""Experiments: made, found, renamed, tagged, deleted, restored."""

from mlflow.entities import ViewType

from tests.compat.differential import On, differential


@differential
def test_an_experiment_has_what_it_was_made_with(on: On) -> None:
    made = on.see(on.client.create_experiment, on.name(), tags={"team": "α", "long": "x" * 300})
    on.see(on.client.get_experiment, made)
    on.see(on.client.get_experiment_by_name, on.name())
    on.see(on.client.get_experiment_by_name, on.name("-unknown"))
    on.see(on.client.get_experiment, "0")
    on.see(on.client.get_experiment, "999999999")


@differential
def test_an_experiment_keeps_its_own_artifact_location(on: On) -> None:
    made = on.see(on.client.create_experiment, on.name(), artifact_location="mlflow-artifacts:/elsewhere")
    on.see(on.client.get_experiment, made)
    on.see(on.client.create_run, made, run_name="there", start_time=7)


@differential
def test_a_name_is_taken_once(on: On) -> None:
    made = on.experiment()
    on.see(on.client.create_experiment, on.name())
    on.see(on.client.delete_experiment, made)
    on.see(on.client.create_experiment, on.name())
    on.see(on.client.get_experiment_by_name, on.name())
    other = on.experiment("-other")
    on.see(on.client.rename_experiment, other, on.name())
    on.see(on.client.rename_experiment, made, on.name("-renamed"))
    on.see(on.client.restore_experiment, made)
    on.see(on.client.rename_experiment, made, on.name("-other"))
    on.see(on.client.rename_experiment, made, on.name("-renamed"))
    on.see(on.client.get_experiment, made)
    on.see(on.client.create_experiment, on.name())
    on.see(on.client.get_experiment_by_name, on.name())
    on.see(on.client.get_experiment_by_name, on.name("-renamed"))


@differential
def test_an_experiment_is_deleted_and_restored_with_its_runs(on: On) -> None:
    made = on.experiment()
    run = on.run(made, start_time=5)
    gone = on.run(made, start_time=6)
    on.client.delete_run(gone)
    on.see(on.client.delete_experiment, made)
    on.see(on.client.get_experiment, made)
    on.see(on.client.get_run, run)
    on.see(on.client.delete_experiment, made)
    on.see(on.client.create_run, made)
    on.see(on.client.log_metric, run, "m", 1.0)
    on.see(on.client.set_experiment_tag, made, "k", "v")
    on.see(on.client.search_runs, [made], run_view_type=ViewType.ALL)
    on.see(on.client.restore_experiment, made)
    on.see(on.client.restore_experiment, made)
    on.see(on.client.get_experiment, made)
    on.see(on.client.get_run, run)
    on.see(on.client.get_run, gone)
    on.see(on.client.delete_experiment, "999999999")
    on.see(on.client.restore_experiment, "999999999")
    on.see(on.client.rename_experiment, "999999999", "x")


@differential
def test_tags_of_an_experiment_are_set_and_deleted(on: On) -> None:
    made = on.experiment()
    on.see(on.client.set_experiment_tag, made, "k", "1")
    on.see(on.client.set_experiment_tag, made, "k", "2")
    on.see(on.client.set_experiment_tag, made, "number", 3)
    on.see(on.client.set_experiment_tag, made, "a/b c.d-e:f", "")
    on.see(on.client.set_experiment_tag, made, "bad key!", "v")
    on.see(on.client.set_experiment_tag, made, "", "v")
    on.see(on.client.set_experiment_tag, made, "x" * 251, "v")
    on.see(on.client.set_experiment_tag, made, "long", "x" * 20_000)
    on.see(on.client.set_experiment_tag, made, "longer", "x" * 20_001)
    on.see(on.client.set_experiment_tag, "999999999", "k", "v")
    on.see(on.client.delete_experiment_tag, made, "k")
    on.see(on.client.delete_experiment_tag, made, "k")
    on.see(on.client.get_experiment, made)


@differential
def test_names_that_mlflow_refuses_are_refused(on: On) -> None:
    for name in ("", "x" * 250, "x" * 501, "ünï✓/ %\n"):
        on.see(on.client.create_experiment, name)
        on.see(on.client.get_experiment_by_name, name)
    made = on.experiment()
    on.see(on.client.rename_experiment, made, "")
    on.see(on.client.rename_experiment, made, "x" * 501)
    on.see(on.client.create_experiment, 5)
    on.see(on.client.create_experiment, None)
    on.see(on.client.create_experiment, on.name(), artifact_location="mlflow-artifacts:/a/../b")
    on.see(on.client.create_experiment, on.name("-q"), artifact_location="s3://b/p?x=1#y")


@differential
def test_experiments_are_searched(on: On) -> None:
    for number, name in enumerate(("alpha", "beta", "Gamma", "delta_1", "delta%2")):
        made = on.client.create_experiment(on.name(f"-{name}"), tags={"group": on.name(), "n": str(number)})
        on.knows_experiment(made)
    on.client.delete_experiment(made)
    own = f"tags.group = '{on.name()}'"
    for view in (ViewType.ACTIVE_ONLY, ViewType.DELETED_ONLY, ViewType.ALL):
        on.see(on.client.search_experiments, view, filter_string=own)
    for text in (
        f"{own} AND name LIKE '%-alpha'",
        f"{own} AND name ILIKE '%-gamma'",
        f"{own} AND name LIKE '%-gamma'",
        f"{own} and name LIKE '%a'",
        f"{own} AND name != '{on.name('-alpha')}'",
        f"name = '{on.name('-beta')}'",
        f"attribute.name = '{on.name('-beta')}'",
        f"attr.name = '{on.name('-beta')}'",
        f"{own} AND tags.n = '1'",
        f"{own} AND tags.n != '1'",
        f"{own} AND tags.n LIKE '%'",
        f"{own} AND tag.`n` = '2'",
        f"{own} AND tags.\"n\" = '2'",
        f"{own} AND tags.absent = '2'",
        f"{own} AND tags.absent != '2'",
        f"{own} AND creation_time > 0",
        f"{own} AND creation_time < 5",
        f"{own} AND last_update_time >= 1 AND creation_time >= 1",
        f"{own} AND name LIKE '%delta_1'",
        f"{own} AND name LIKE '%delta%2'",
        f"{own} AND name LIKE '%lta.1'",
        f"{own} AND lifecycle_stage = 'active'",
        f"{own} AND creation_time = 'x'",
        f"{own} OR name = 'x'",
        "name = unquoted",
        "name > 'a'",
        "name IN ('a', 'b')",
        "tags.n > '1'",
        "tags.n IN ('1')",
        f"{own} AND tags.absent IS NULL",
        f"{own} AND tags.n IS NOT NULL",
        "metrics.m > 1",
        "nonsense",
        "= 'x'",
        "name = 'x' AND",
        "name = 'x';",
        "name = 'it''s'",
        'name = "it\'s"',
        f"name = '{on.name('-beta')}' AND name = '{on.name('-alpha')}'",
    ):
        on.see(on.client.search_experiments, filter_string=text)
    for order in (
        ["name"],
        ["name DESC"],
        ["name asc"],
        ["creation_time"],
        ["creation_time DESC", "name"],
        ["last_update_time DESC", "name"],
        ["experiment_id"],
        ["attribute.name DESC"],
        ["name", "name"],
        ["tags.n"],
        ["nonsense"],
        ["name SIDEWAYS"],
        [""],
        [],
    ):
        found = on.see(on.client.search_experiments, filter_string=own, order_by=order)
        if order == ["experiment_id"]:
            # the ids themselves differ between the servers, and so does their order
            on.seen.pop()
            on.note(
                "ordered by id", [e.experiment_id for e in found] == sorted(e.experiment_id for e in found)
            )


@differential
def test_experiments_come_in_pages(on: On) -> None:
    for number in range(5):
        on.knows_experiment(on.client.create_experiment(on.name(f"-{number}"), tags={"group": on.name()}))
    own = f"tags.group = '{on.name()}'"
    token = None
    for _ in range(3):
        page = on.see(
            on.client.search_experiments,
            max_results=2,
            filter_string=own,
            order_by=["name"],
            page_token=token,
        )
        token = page.token
    on.see(on.client.search_experiments, max_results=5, filter_string=own, order_by=["name"])
    on.see(on.client.search_experiments, max_results=0)
    on.see(on.client.search_experiments, max_results=-1)
    on.see(on.client.search_experiments, max_results=50_001)
    on.see(on.client.search_experiments, max_results="many")
    on.see(on.client.search_experiments, page_token="junk")
    on.see(on.client.search_experiments, page_token="bm90IGpzb24=")
