"""What may be done about an issued document: words that landing checks and invoice generation carries out."""

from __future__ import annotations

CANCEL, CREDIT, DEBIT, WRITE_OFF = "cancel", "credit", "debit", "write_off"
ACTIONS = (CANCEL, CREDIT, DEBIT, WRITE_OFF)
TAKEN_BACK = "taken back"  # why a document corrects another that nobody asked to be corrected
CREDIT_NOTE, DEBIT_NOTE = "credit_note", "debit_note"  # types of document, and their series
