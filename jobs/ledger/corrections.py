"""What may be done about an issued document: words that landing checks and invoice generation carries out."""

from __future__ import annotations

from typing import Literal

CANCEL, CREDIT, DEBIT, REBILL, WRITE_OFF = "cancel", "credit", "debit", "rebill", "write_off"
ACTIONS = (CANCEL, CREDIT, DEBIT, REBILL, WRITE_OFF)
TAKEN_BACK = "taken back"  # why a document corrects another that nobody asked to be corrected
DocumentType = Literal["invoice", "credit_note", "debit_note", "corrective_invoice"]  # each is a series of numbers too
# What corrects an invoice. A corrective invoice is what a rebill comes to: the difference to what was issued.
CREDIT_NOTE, DEBIT_NOTE, CORRECTIVE_INVOICE = "credit_note", "debit_note", "corrective_invoice"
