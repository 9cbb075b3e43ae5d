"""The house's own books: only the current attempt can publish, and nobody hinders anybody else."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from jobs.runtime import delta_log, ops
from jobs.runtime.errors import OutOfTurn, Superseded
from jobs.runtime.ops import Publication, TableVersion, Unit

ALPHA, BETA = Unit("billing_aggregation", "alpha", "2026-07"), Unit("billing_aggregation", "beta", "2026-07")
CASH, TURN = Unit("cash_matching", "alpha", "2026-08-03"), Unit("cash_matching", "alpha", "turn")
INVOICES, MONEY = (
    Unit("invoice_generation", "alpha", "2026-07"),
    Unit("invoice_generation", "alpha", "2026-07", "prepayments"),
)


def publication(unit=ALPHA, attempt=1, name="p-1", **more):
    told = {
        "run_id": "run",
        "fingerprint": f"of {name}",
        "inputs": {"raw.usage": "x"},
        "tables": (TableVersion("billing.charges", 1, 5),),
    }
    return Publication(unit=unit, attempt=attempt, publication_id=name, **(told | more))


def test_a_complete_publication_is_told_as_it_was_made(home):
    assert ops.register_attempt([ALPHA]) == 1
    ops.complete([publication(parameters={"issue_date": "2026-08-01"}, actor="somebody")], {"reason": "a test"})
    told = ops.publications()[ALPHA]
    assert (told.fingerprint, told.inputs, told.parameters, told.actor) == (
        "of p-1",
        {"raw.usage": "x"},
        {"issue_date": "2026-08-01"},
        "somebody",
    )
    assert told.tables == (TableVersion("billing.charges", 1, 5),)


def test_attempts_count_up_and_the_older_one_can_no_longer_publish(home):
    assert [ops.register_attempt([ALPHA]) for _ in range(2)] == [1, 2]
    with pytest.raises(Superseded, match="attempt 2 has taken over from attempt 1") as refused:
        ops.complete([publication(attempt=1)], {})
    assert refused.value.exit_code == 1
    assert ops.all_publications() == []
    ops.complete([publication(attempt=2, name="p-2")], {})
    assert ops.publications()[ALPHA].publication_id == "p-2"


def test_an_attempt_publishes_once(home):
    attempt = ops.register_attempt([ALPHA])
    ops.complete([publication(attempt=attempt)], {})
    with pytest.raises(Superseded, match="an earlier call of this attempt has taken over"):
        ops.complete([publication(attempt=attempt)], {})
    assert len(ops.all_publications()) == 1


def test_publications_of_several_units_are_seen_all_or_none(home):
    first = ops.register_attempt([ALPHA, BETA])
    ops.register_attempt([BETA])
    with pytest.raises(Superseded, match="beta"):
        ops.complete([publication(ALPHA, first), publication(BETA, first)], {})
    assert ops.all_publications() == []


def test_an_attempt_is_higher_than_any_of_its_units(home):
    assert [
        ops.register_attempt([BETA]),
        ops.register_attempt([BETA]),
        ops.register_attempt([ALPHA, BETA]),
        ops.register_attempt([ALPHA]),
    ] == [1, 2, 3, 4]


def test_a_unit_found_while_writing_needs_no_attempt_of_its_own(home):
    attempt = ops.register_attempt([ALPHA])
    ops.complete([publication(ALPHA, attempt), publication(BETA, attempt, fenced=False)], {})
    assert set(ops.publications()) == {ALPHA, BETA}


def test_of_runs_that_go_on_from_each_other_whoever_publishes_first_stands(home):
    january, february = (Unit("cash_matching", "alpha", day) for day in ("2026-01-31", "2026-02-28"))
    looked_at = ops.fences([TURN])
    first, second = ops.register_attempt([january]), ops.register_attempt([february])
    ops.complete([publication(january, first)], {}, turns=looked_at)
    with pytest.raises(OutOfTurn, match="another run went first"):
        ops.complete([publication(february, second)], {}, turns=looked_at)
    assert set(ops.publications()) == {january}
    looked_at = ops.fences([TURN])
    again = ops.register_attempt([february])
    ops.register_attempt([january])  # to begin is not to go first
    ops.complete([publication(february, again)], {}, turns=looked_at)
    assert set(ops.publications()) == {january, february}


@pytest.mark.parametrize("place", [0, 1])
def test_of_two_runs_for_one_day_whoever_publishes_first_stands_too(home, place):
    looked_at = ops.fences([TURN])
    attempts = [ops.register_attempt([CASH]), ops.register_attempt([CASH])]
    first, other = attempts[place], attempts[1 - place]
    ops.complete([publication(CASH, first)], {}, turns=looked_at)
    with pytest.raises(OutOfTurn, match="another run went first"):
        ops.complete([publication(CASH, other, "p-2")], {}, turns=looked_at)
    assert ops.publications()[CASH].attempt == first
    assert ops.register_attempt([CASH]) == 3, "no attempt is counted twice"


def test_of_many_that_go_on_from_each_other_each_round_lets_one_through(home):
    days = [Unit("cash_matching", "alpha", f"2026-01-0{day}") for day in range(1, 5)]
    waiting, rounds = set(days), 0
    while waiting:
        looked_at, rounds = ops.fences([TURN]), rounds + 1
        attempts = {day: ops.register_attempt([day]) for day in sorted(waiting, key=lambda day: day.period)}

        def published(day, attempts=attempts, looked_at=looked_at):
            try:
                ops.complete([publication(day, attempts[day])], {}, turns=looked_at)
            except OutOfTurn:
                return None
            return day

        with ThreadPoolExecutor(4) as at_once:
            through = {day for day in at_once.map(published, attempts) if day}
        assert len(through) == 1
        waiting -= through
    assert rounds == len(days)


def test_units_that_share_nothing_complete_at_once(home):
    units = [Unit("billing_aggregation", f"t-{n}", "2026-07") for n in range(8)]

    def whole(unit):
        attempt = ops.register_attempt([unit])
        ops.complete([publication(unit, attempt, unit.tenant_id)], {})
        return attempt

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(whole, units)) == {1}
    assert set(ops.publications()) == set(units)


def test_of_attempts_at_once_on_one_unit_exactly_one_publishes(home):
    with ThreadPoolExecutor(6) as pool:
        attempts = list(pool.map(lambda _: ops.register_attempt([ALPHA]), range(6)))
    assert sorted(attempts) == list(range(1, 7))

    def complete(attempt):
        try:
            ops.complete([publication(attempt=attempt, name=f"p-{attempt}")], {})
        except Superseded:
            return None
        return attempt

    with ThreadPoolExecutor(6) as pool:
        assert [attempt for attempt in pool.map(complete, attempts) if attempt] == [6]
    assert [told.publication_id for told in ops.all_publications()] == ["p-6"]


def append_at_once(names):
    def append(name):
        ops.append(ops.RUNS, [{"run_id": name, "attempt": 1, "tenants": ["alpha"]}])

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(append, names))
    return sorted(row["run_id"] for row in ops.rows(ops.RUNS))


def test_run_records_written_at_once_all_stand(home):
    ops.table(ops.RUNS)
    names = [f"r-{n}" for n in range(6)]
    assert append_at_once(names) == names


def test_the_first_records_of_a_new_home_may_be_written_at_once(home):
    for turn in range(5):
        names = [f"r-{turn}-{n}" for n in range(6)]
        assert append_at_once(names) == names
        shutil.rmtree(home / "warehouse")
        ops._exists.cache_clear()


def test_the_latest_publication_of_a_unit_stands_and_the_earlier_ones_are_kept(home):
    for name in ("p-1", "p-2"):
        ops.complete([publication(attempt=ops.register_attempt([ALPHA]), name=name)], {})
    assert ops.publications()[ALPHA].publication_id == "p-2"
    assert [told.publication_id for told in ops.all_publications()] == ["p-1", "p-2"]


@pytest.mark.parametrize("name", list(ops.SCHEMAS))
def test_the_books_only_grow_and_are_kept(home, name):
    kept = ops.table(name).metadata().configuration
    assert kept["delta.appendOnly"] == "true"
    assert kept["delta.logRetentionDuration"] == "interval 3653 days"


def test_the_books_are_made_again_in_a_home_that_was_removed(home):
    ops.append(ops.RUNS, [{"run_id": "r"}])
    shutil.rmtree(home / "warehouse")
    assert ops.rows(ops.RUNS) == []
    assert delta_log.open_table(ops.RUNS) is not None


def test_the_rows_are_those_of_the_table_however_often_they_are_asked_for(home):
    for at in range(ops.COMPACT_EVERY + 2):  # beyond the commit that puts small files together
        ops.append(ops.RUNS, [{"run_id": f"r-{at}", "tenants": ["alpha"], "detail": "{}"}])
        stands = ops.table(ops.RUNS).to_pyarrow_table().to_pylist()
        assert ops.rows(ops.RUNS) == sorted(stands, key=lambda row: row["at"])
    assert [row["run_id"] for row in ops.rows(ops.RUNS)] == [f"r-{at}" for at in range(ops.COMPACT_EVERY + 2)]
    assert [row["run_id"] for row in ops.rows(ops.RUNS, ops.table(ops.RUNS, 2))] == ["r-0", "r-1"]


def test_the_rows_of_a_home_that_is_put_back_are_its_own(home):
    shutil.copytree(home, home.with_name("kept"))
    for name in ("first", "second"):
        ops.append(ops.RUNS, [{"run_id": name}])
        assert [row["run_id"] for row in ops.rows(ops.RUNS)] == [name]
        shutil.rmtree(home)
        shutil.copytree(home.with_name("kept"), home)


def test_the_books_are_read_below_a_folder_whose_name_is_escaped_in_an_address(home, monkeypatch):
    monkeypatch.setenv("COUNTINGHOUSE_HOME", str(home / "a house"))
    ops.append(ops.RUNS, [{"run_id": "r"}])
    assert [row["run_id"] for row in ops.rows(ops.RUNS)] == ["r"]


def taking(attempt=1, name="money"):
    return [publication(MONEY, attempt, name, fenced=False)]


def test_who_takes_what_a_turn_spends_passes_whoever_is_under_way(home):
    under_way, began = ops.register_attempt([CASH]), ops.fences([TURN])
    mine = ops.register_attempt([INVOICES])
    assert ops.take(taking(mine), {}, [INVOICES], ops.fences([TURN]))
    assert MONEY in ops.publications()
    with pytest.raises(OutOfTurn, match="another run went first"):
        ops.complete([publication(CASH, under_way, "cash")], {}, turns=began)
    again = ops.register_attempt([CASH])
    ops.complete([publication(CASH, again, "cash")], {}, turns=ops.fences([TURN]))
    assert CASH in ops.publications()


def test_nothing_is_taken_when_somebody_has_had_his_turn_since_it_was_looked_at(home):
    mine = ops.register_attempt([INVOICES])
    looked_at = ops.fences([TURN])
    theirs = ops.register_attempt([CASH])
    ops.complete([publication(CASH, theirs, "cash")], {}, turns=looked_at)
    assert not ops.take(taking(mine), {}, [INVOICES], looked_at), "published since"
    assert MONEY not in ops.publications()
    assert ops.take(taking(mine), {}, [INVOICES], ops.fences([TURN]))


def test_of_several_at_once_one_takes(home):
    mine = ops.register_attempt([INVOICES])
    looked_at = ops.fences([TURN])
    with ThreadPoolExecutor(4) as at_once:
        told = list(at_once.map(lambda n: ops.take(taking(mine, f"money-{n}"), {}, [INVOICES], looked_at), range(4)))
    assert sorted(told) == [False, False, False, True]
    assert len(ops.all_publications()) == 1


def test_an_attempt_that_was_superseded_takes_nothing(home):
    mine = ops.register_attempt([INVOICES])
    ops.register_attempt([INVOICES])
    with pytest.raises(Superseded, match="attempt 2 has taken over"):
        ops.take(taking(mine), {}, [INVOICES], ops.fences([TURN]))
    assert ops.all_publications() == []


def test_who_decided_before_somebody_began_or_published_takes_nothing_over(home):
    looked_at = ops.table(ops.PUBLICATIONS)
    first = ops.register_attempt([ALPHA], looked_at)
    assert first == 1
    assert ops.register_attempt([ALPHA, BETA], looked_at) is None, "somebody has begun since"
    assert ops.register_attempt([BETA], looked_at) == 1, "that concerns another tenant"
    looked_at = ops.table(ops.PUBLICATIONS)
    ops.complete([publication(attempt=first)], {})
    assert ops.register_attempt([ALPHA], looked_at) is None, "it was published since"
    assert ops.register_attempt([ALPHA], ops.table(ops.PUBLICATIONS)) == 2


def test_whoever_is_at_a_unit_that_another_run_takes_is_superseded_and_counts_on(home):
    ops.complete([publication(attempt=ops.register_attempt([ALPHA]))], {})
    under_way, mine = ops.register_attempt([ALPHA]), ops.register_attempt([INVOICES])
    assert ops.take(taking(mine), {}, [INVOICES], ops.fences([ALPHA]))
    with pytest.raises(Superseded, match="attempt 3 has taken over from attempt 2"):
        ops.complete([publication(attempt=under_way, name="late")], {})
    assert ops.publications()[ALPHA].publication_id == "p-1"
    assert ops.register_attempt([ALPHA]) == 4


def test_nothing_is_taken_where_another_attempt_begins_between_the_look_and_the_commit(home, monkeypatch):
    mine = ops.register_attempt([INVOICES])
    honest, left = ops._commit, [True]

    def commit(*told):
        if left:
            left.pop()
            ops.register_attempt([INVOICES])
        honest(*told)

    monkeypatch.setattr(ops, "_commit", commit)
    assert not ops.take(taking(mine), {}, [INVOICES], ops.fences([ALPHA]))
    assert ops.all_publications() == []
