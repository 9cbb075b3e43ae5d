"""What a payer writes beside the money, so that it finds its document: the creditor reference of ISO 11649."""

from __future__ import annotations

import re

from stdnum.iso7064 import mod_97_10

LONGEST = 21  # signs behind RF and its two check digits


def creditor_reference(number: str) -> str | None:
    """RF, two check digits and the letters and digits of a document's number; None where they are none or too many.

    Source: ISO 11649, check digits by ISO 7064 modulo 97-10.
    """
    body = re.sub("[^A-Z0-9]", "", number.upper())
    if not 0 < len(body) <= LONGEST:
        return None
    return f"RF{mod_97_10.calc_check_digits(f'{body}RF')}{body}"
