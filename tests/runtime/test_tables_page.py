"""docs/tables.md tells every table as it is declared."""

from __future__ import annotations

import re

from jobs.runtime.config import ROOT
from jobs.runtime.tables import catalog
from jobs.stages import WRITER_OF

ROW = re.compile(r"^\| ([a-z]+\.[a-z_]+) \| [^|]+ \| (\w+) \| (\w+) \| ([^|]+) \|$", re.MULTILINE)


def test_every_table_is_told_with_its_writer_kind_and_columns():
    page = (ROOT / "docs" / "tables.md").read_text()
    told = {name: (writer, kind, columns.split(", ")) for name, writer, kind, columns in ROW.findall(page)}
    declared = {}
    for name, table in catalog().items():
        columns = [column.name for column in table.schema.fields[:-1]]
        shown = [f"*{column}*" if column in table.personal else column for column in columns]
        declared[name] = (WRITER_OF[name], table.kind, shown)
    assert told == declared
