"""``/api/v1/experiments``."""

from typing import Final

from aiohttp import web

from runstone_query import experiments, inputs, pagination, schemas
from runstone_query.configuration import PAGE_DEFAULT, PAGE_MAX
from runstone_query.problems import not_found
from runstone_query.reading import read
from runstone_query.routing import Route, in_path, in_query
from runstone_query.services import json
from runstone_query.snapshot import Snapshot


async def list_experiments(request: web.Request) -> web.Response:
    """Experiments by name: one, or all that the view shows."""
    asked = inputs.query(request, ("name", "view", "limit", "page_token"))
    view = inputs.choice("view", asked.get("view", "active"), ("active", "deleted", "all"))
    limit = inputs.digits("limit", asked.get("limit", str(PAGE_DEFAULT)), 1, PAGE_MAX)
    name = asked.get("name")
    query = pagination.query_hash(["experiments", name, view])

    async def page(snapshot: Snapshot) -> web.Response:
        after = None
        if token := asked.get("page_token"):
            after = str(pagination.decode(token, snapshot.generation, query, ["text"])[0])
        stage = None if view == "all" else view
        found = await experiments.page(snapshot, name, stage, after, limit + 1)
        shown = found[:limit]
        following = len(found) > limit
        return json(
            {
                "experiments": shown,
                "next_page_token": (
                    pagination.encode(snapshot.generation, query, [shown[-1]["name"]]) if following else None
                ),
            }
        )

    return await read(request, page)


async def get_experiment(request: web.Request) -> web.Response:
    """One experiment."""
    inputs.query(request, ())
    wanted = inputs.experiment_id("experiment_id", request.match_info["experiment_id"])
    found = await read(request, lambda snapshot: experiments.by_id(snapshot, wanted))
    if found is None:
        raise not_found("experiment", str(wanted))
    return json(found)


ROUTES: Final = (
    Route(
        "GET",
        "/api/v1/experiments",
        list_experiments,
        "listExperiments",
        "Experiments by name: one, or all of them",
        schemas.record(
            experiments=schemas.array(schemas.ref("Experiment")),
            next_page_token=schemas.nullable(schemas.TEXT),
        ),
        parameters=(
            in_query("name", "only the experiment of this name", schemas.TEXT),
            in_query("view", "which lifecycle stage", schemas.VIEW),
            in_query("limit", "experiments a page", schemas.LIMIT),
            in_query("page_token", "next_page_token of the page before", schemas.TEXT),
        ),
        problems=(400,),
    ),
    Route(
        "GET",
        "/api/v1/experiments/{experiment_id}",
        get_experiment,
        "getExperiment",
        "One experiment",
        schemas.ref("Experiment"),
        parameters=(in_path("experiment_id", "the experiment's id", schemas.EXPERIMENT_ID),),
        problems=(400, 404),
    ),
)
