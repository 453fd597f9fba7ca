"""Puts rows into a migrated read model by hand, as the worker would have left them."""

from collections.abc import Sequence
from typing import Any

import asyncpg
import orjson

from runstone.events.identity import experiment_id, new_run_id


class Rows:
    """Writes into the generation that is live when it connects; every method is one statement or few."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.offset = 0

    @classmethod
    async def connect(cls, dsn: str) -> "Rows":
        connection = await asyncpg.connect(dsn)
        generation = await connection.fetchval("SELECT generation FROM runstone_meta.live")
        await connection.execute("SELECT set_config('search_path', $1, false)", generation)
        return cls(connection)

    async def close(self) -> None:
        await self.connection.close()

    async def insert(self, table: str, **columns: Any) -> None:
        names = ", ".join(f'"{name}"' for name in columns)
        places = ", ".join(f"${n}" for n in range(1, len(columns) + 1))
        await self.connection.execute(f"INSERT INTO {table} ({names}) VALUES ({places})", *columns.values())

    async def experiment(self, name: str, stage: str = "active", **tags: str) -> int:
        found = experiment_id(name)
        await self.insert(
            "experiments",
            experiment_id=found,
            name=name,
            created_as=name,
            lifecycle_stage=stage,
            creation_time=1,
            last_update_time=2,
        )
        for key, value in tags.items():
            await self.insert("experiment_tags", experiment_id=found, key=key, value=value)
        return found

    async def run(
        self,
        experiment: str = "churn",
        *,
        run_id: str | None = None,
        params: dict[str, str] | None = None,
        metrics: dict[str, float] | None = None,
        tags: dict[str, str] | None = None,
        context: dict[str, Any] | None = None,
        **columns: Any,
    ) -> str:
        run_id = run_id or new_run_id()
        row = {
            "experiment_id": experiment_id(experiment),
            "experiment_name": experiment,
            "name": "a run",
            "status": "FINISHED",
            "start_time": 1000,
            "user_name": "alice",
            "topic_partition": 0,
            "last_offset": 0,
        } | columns
        await self.insert("runs", run_id=run_id, context=orjson.dumps(context or {}).decode(), **row)
        for key, text in (params or {}).items():
            await self.insert("params", run_id=run_id, key=key, value=text, time=1)
        for key, text in (tags or {}).items():
            await self.insert("tags", run_id=run_id, key=key, value=text, time=1)
        for key, value in (metrics or {}).items():
            await self.latest(run_id, key, value)
        return run_id

    async def latest(
        self, run_id: str, key: str, value: float, step: int = 0, time: int = 1, model: str = ""
    ) -> None:
        """The latest point of a series; ranked as well, unless the run is still running."""
        await self.insert(
            "latest_metrics",
            run_id=run_id,
            key=key,
            model_id=model,
            dataset_name="",
            dataset_digest="",
            step=step,
            time=time,
            value=value,
            points=1,
        )
        await self.connection.execute(
            """INSERT INTO ranked_metrics
               SELECT run_id, key, value FROM latest_metrics JOIN runs USING (run_id)
               WHERE run_id = $1 AND key = $2 AND status NOT IN ('RUNNING', 'SCHEDULED')
               ORDER BY step DESC, time DESC, value = 'NaN', value DESC LIMIT 1
               ON CONFLICT (run_id, key) DO UPDATE SET value = excluded.value""",
            run_id,
            key,
        )

    async def points(
        self, run_id: str, key: str, points: Sequence[tuple[int, int, float]], model: str = ""
    ) -> None:
        """One chunk of (step, time, value)."""
        self.offset += 1
        steps, times, values = (list(column) for column in zip(*points, strict=True))
        await self.insert(
            "metric_chunks",
            run_id=run_id,
            key=key,
            model_id=model,
            dataset_name="",
            dataset_digest="",
            first_offset=self.offset,
            steps=steps,
            times=times,
            vals=values,
        )

    async def artifact(self, run_id: str, path: str, uri: str, **columns: Any) -> None:
        row = {"size": 3, "sha256": "0" * 64, "media_type": "text/plain", "time": 5} | columns
        await self.insert("artifacts", run_id=run_id, path=path, uri=uri, **row)
