"""Workers whose clocks jump by ten years write what workers with honest clocks write.

Row 14 of the fault table, on the side of the worker; that of the client is in ``tests/integration/test_clocks``.
"""

from tests.faults.crew import crew
from tests.faults.installation import Installation, journals
from tests.faults.scale import times
from tests.integration.test_clocks import CLOCK, YEARS
from tests.publishing import asking
from tests.read_model_contents import contents


async def test_order_and_content_do_not_depend_on_the_clocks_of_workers(
    kafka, database, another_database, prefix, tmp_path
):
    (tmp_path / "sitecustomize.py").write_text(CLOCK)
    jumping = {"PYTHONPATH": str(tmp_path), "CLOCK_SHIFTS": f"0 {YEARS} -{YEARS}"}
    place = Installation(kafka, database, prefix, 12)
    async with journals(place) as said:
        async with crew(place, tmp_path, **jumping) as workers:
            for _ in range(2):
                await workers.start()
            for _ in range(times(20, 2000)):
                await said.go_on()
            await said.check()
        honest = Installation(kafka, another_database, prefix, 12)
        async with crew(honest, tmp_path) as workers:
            await workers.start()
            await said.caught_up(of=honest)
    async with asking(database) as one, asking(another_database) as other:
        assert await contents(one) == await contents(other)
