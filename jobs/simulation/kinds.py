"""What a simulated usage row is, and what has to become of it."""

from __future__ import annotations

from enum import IntEnum

DRAWN_AS = "drawn_as"  # a column that is never delivered: the kind of a row


class Kind(IntEnum):
    """The reason a usage row was written."""

    NEW = 0
    DUPLICATE_WITHIN_FILE = 1  # the same row once more
    DUPLICATE_ACROSS_FILES = 2
    CONFLICT = 3  # the record and revision of an earlier row with another content
    REVISED = 4  # revision 2 of an earlier row
    WITHDRAWN = 5  # revision 2 that takes an earlier row back
    LATE = 6  # used in the month before the one that delivers it
    MISSING_ACCOUNT = 7
    WRONG_QUANTITY = 8  # not a number; in typed files missing
    WRONG_START = 9  # not a time; in typed files missing
    TOO_FEW_FIELDS = 10  # a line that ends early; delimited files only

    @property
    def label(self) -> str:
        """The kind as the truth names it."""
        return self.name.lower()


DUPLICATES = (Kind.DUPLICATE_WITHIN_FILE, Kind.DUPLICATE_ACROSS_FILES)
BAD = (Kind.MISSING_ACCOUNT, Kind.WRONG_QUANTITY, Kind.WRONG_START, Kind.TOO_FEW_FIELDS)
QUARANTINED = (Kind.CONFLICT, *BAD)
