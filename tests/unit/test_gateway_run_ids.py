"""The id of a new run follows from its request, where that was made just now."""

from runstone_gateway.run_ids import RunIds

NOW = 1_764_000_000_000


def test_after_a_restart_the_same_request_gets_the_same_id():
    body = b'{"start_time": 1764000000000}'
    first = RunIds("http://here:1").make(body, NOW, NOW)
    assert RunIds("http://here:1").make(body, NOW, NOW + 60_000) == first
    assert len(first) == 32
    assert first[12] == "7"
    assert int(first[:12], 16) == NOW


def test_the_same_request_again_another_one_and_another_gateway_get_other_ids():
    here = RunIds("http://here:1")
    ids = {here.make(b"a", NOW, NOW), here.make(b"a", NOW, NOW), here.make(b"b", NOW, NOW)}
    ids.add(RunIds("http://here:2").make(b"a", NOW, NOW))
    assert len(ids) == 4


def test_a_request_without_a_start_time_of_its_own_never_finds_an_older_run():
    for start_time in (None, 0):
        made = [RunIds("http://here:1").make(b"a", start_time, NOW) for _ in range(2)]
        assert made[0] != made[1]
