"""Whose turn it is to take what was carried forward: the earliest month that is not invoiced yet, and each month's rows once."""

from __future__ import annotations

import pytest

from jobs.ledger.months import CARRIED, carried_from
from jobs.runtime.house import Snapshot
from jobs.runtime.ops import Publication, Unit


def told(invoiced: dict[str, str], used: tuple[str, ...] = (), tenant: str = "alpha") -> Snapshot:
    """A house in which these months are invoiced, each with the months whose charges it took, and these have usage."""
    units = [
        (Unit("invoice_generation", tenant, month), {CARRIED: taken} if taken else {}) for month, taken in invoiced.items()
    ]
    units += [(Unit("ingestion", tenant, month, "usage"), {}) for month in used]
    return Snapshot.of(Publication(unit, "run", 1, unit.id, unit.id, inputs, ()) for unit, inputs in units)


CASES = {
    # case: (months invoiced with what each took, months with usage, month asked, what it takes)
    "nothing_before": ({}, ("2026-06",), "2026-06", []),
    "the_month_before": ({"2026-06": ""}, ("2026-06", "2026-07"), "2026-07", ["2026-06"]),
    "what_was_taken_is_gone": ({"2026-05": "", "2026-06": "2026-05"}, (), "2026-07", ["2026-06"]),
    "all_that_nobody_took": ({"2026-05": "", "2026-06": ""}, (), "2026-07", ["2026-05", "2026-06"]),
    "an_open_month_before_it_goes_first": ({"2026-05": ""}, ("2026-06", "2026-07"), "2026-07", []),
    "which_takes_it": ({"2026-05": ""}, ("2026-06", "2026-07"), "2026-06", ["2026-05"]),
    "a_month_that_a_later_one_has_taken": ({"2026-05": "", "2026-07": "2026-05"}, ("2026-06",), "2026-06", []),
    "nothing_of_a_later_month": ({"2026-07": ""}, ("2026-06",), "2026-06", []),
    "asked_again_after_its_issue": ({"2026-06": "", "2026-07": "2026-06"}, (), "2026-07", ["2026-06"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_month_takes_what_is_open_before_it(case):
    invoiced, used, month, taken = CASES[case]
    assert carried_from(told(invoiced, used), "alpha", month) == taken


def test_another_tenants_months_do_not_count():
    assert carried_from(told({"2026-06": ""}, tenant="beta"), "alpha", "2026-07") == []
