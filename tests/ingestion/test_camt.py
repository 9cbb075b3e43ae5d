"""Bank statements in camt formats to rows: what each entry says, and which statement may not be used."""

from __future__ import annotations

import gzip
import io
import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.ingestion import camt
from jobs.ingestion.decode import decoded
from jobs.ingestion.files import LandingFile, arrivals, land, unreadable
from jobs.ledger.tenants import CAMT_COLUMNS, Mapping
from jobs.runtime.errors import CallError
from tests.builders import ALPHA, canonical, dropped, tenant

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "bank" / "camt"
real_files = pytest.mark.skipif(
    not DATA.exists(), reason="the real statements are not beside this checkout (../shared/data)"
)
ROOTS = {"053": ("BkToCstmrStmt", "Stmt"), "054": ("BkToCstmrDbtCdtNtfctn", "Ntfctn"), "052": ("BkToCstmrAcctRpt", "Rpt")}
OURS = "<Acct><Id><IBAN>GB33 BUKB 2020 1555 5555 55</IBAN></Id><Ccy>EUR</Ccy></Acct>"


def balance(code: str, amount: str, day: str = "2026-07-01", currency: str = "EUR", sign: str = "CRDT") -> str:
    return (
        f"<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy='{currency}'>{amount}</Amt>"
        f"<CdtDbtInd>{sign}</CdtDbtInd><Dt><Dt>{day}</Dt></Dt></Bal>"
    )


def detail(amount: str | None = None, refs: str = "", text: str = "", currency: str = "EUR", parties: str = "") -> str:
    told = f"<AmtDtls><TxAmt><Amt Ccy='{currency}'>{amount}</Amt></TxAmt></AmtDtls>" if amount else ""
    words = f"<RmtInf>{text}</RmtInf>" if text else ""
    people = f"<RltdPties>{parties}</RltdPties>" if parties else ""
    return f"<TxDtls><Refs>{refs}</Refs>{told}{people}{words}</TxDtls>"


def entry(
    amount: str = "10.00", sign: str = "CRDT", details: str = "", ref: str = "B-1", status: str = "BOOK", more: str = "",
    currency: str = "EUR",
) -> str:  # fmt: skip
    known = f"<AcctSvcrRef>{ref}</AcctSvcrRef>" if ref else ""
    return (
        f"<Ntry><Amt Ccy='{currency}'>{amount}</Amt><CdtDbtInd>{sign}</CdtDbtInd>{more}<Sts>{status}</Sts>"
        f"<BookgDt><Dt>2026-07-10</Dt></BookgDt><ValDt><Dt>2026-07-11</Dt></ValDt>{known}"
        f"<BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>RCDT</Cd><SubFmlyCd>ESCT</SubFmlyCd></Fmly></Domn></BkTxCd>"
        f"<NtryDtls>{details}</NtryDtls></Ntry>"
    )


def message(*entries: str, balances: str | None = None, version: str = "02", kind: str = "053", id: str = "S-1") -> bytes:
    """A message of one statement that balances, unless other balances are given."""
    root, group = ROOTS[kind]
    told = balance("OPBD", "100.00") + balance("CLBD", "110.00") if balances is None else balances
    return (
        f"<?xml version='1.0' encoding='UTF-8'?><Document xmlns='urn:iso:std:iso:20022:tech:xsd:camt.{kind}.001.{version}'>"
        f"<{root}><GrpHdr><MsgId>M</MsgId></GrpHdr><{group}><Id>{id}</Id>{OURS}{told}{''.join(entries)}</{group}></{root}></Document>"
    ).encode()


def rows(tmp_path: Path, content: bytes) -> list[camt.Row]:
    path = tmp_path / "statement.xml"
    path.write_bytes(content)
    return camt.read(path)


STRUCTURED = "<Strd><CdtrRefInf><Ref>RF18 5390</Ref></CdtrRefInf></Strd>"
REFERRED = "<Strd><RfrdDocInf><Nb>A-2026-7</Nb></RfrdDocInf></Strd>"
OLD_PARTIES = "<Dbtr><Nm>Payer</Nm></Dbtr><DbtrAcct><Id><IBAN>DE 89</IBAN></Id></DbtrAcct><Cdtr><Nm>Us</Nm></Cdtr>"
NEW_PARTIES = "<Dbtr><Pty><Nm>Payer</Nm></Pty></Dbtr><DbtrAcct><Id><Othr><Id>DE89</Id></Othr></Id></DbtrAcct>"
SENT = "<Cdtr><Nm>Vendor</Nm></Cdtr><CdtrAcct><Id><IBAN>FR76</IBAN></Id></CdtrAcct><Dbtr><Nm>Us</Nm></Dbtr>"
BACK = "<RvslInd>true</RvslInd>"

ENTRIES = {
    # case: (entries, what the rows say)
    "an_entry_without_details": (
        [entry()],
        [{"transaction_id": "B-1", "amount": "10.00", "bank_account": "GB33BUKB20201555555555", "statement_id": "S-1",
          "booking_date": "2026-07-10", "value_date": "2026-07-11", "currency": "EUR", "bank_code": "PMNT/RCDT/ESCT"}],
    ),
    "a_debit_is_negative": (
        [entry("10.00", "DBIT"), entry("20.00", ref="B-2")], [{"amount": "-10.00"}, {"amount": "20.00"}],
    ),
    "a_reference_before_a_text": (
        [entry(details=detail(text=f"<Ustrd>thank</Ustrd><Ustrd>you</Ustrd>{STRUCTURED}"))],
        [{"reference": "RF18 5390", "remittance_text": "thank you"}],
    ),
    "documents_referred_to_are_references_too": (
        [entry(details=detail(text=STRUCTURED + REFERRED))], [{"reference": "RF18 5390; A-2026-7", "remittance_text": None}],
    ),
    "the_payer_as_version_2_says_it": (
        [entry(details=detail(parties=OLD_PARTIES))], [{"counterparty_name": "Payer", "counterparty_iban": "DE89"}],
    ),
    "the_payer_as_version_8_says_it": (
        [entry(details=detail(parties=NEW_PARTIES), status="<Cd>BOOK</Cd>")],
        [{"counterparty_name": "Payer", "counterparty_iban": "DE89"}],
    ),
    "of_a_debit_the_other_side_is_who_was_paid": (
        [entry("10.00", "DBIT", details=detail(parties=SENT)), entry("20.00", ref="B-2")],
        [{"counterparty_name": "Vendor", "counterparty_iban": "FR76"}, {}],
    ),
    "a_payment_that_came_back_moves_as_it_says": (
        [entry(more=BACK, details=detail(parties=SENT))],
        [{"amount": "10.00", "bank_code": "PMNT/RCDT/ESCT/RVSL", "counterparty_name": "Vendor"}],
    ),
    "where_the_balance_says_so_a_reversal_moves_the_other_way": (
        [entry("20.00", "DBIT", more=BACK), entry("10.00", "DBIT", ref="B-2")],
        [{"amount": "20.00", "transaction_id": "B-1"}, {"amount": "-10.00", "transaction_id": "B-2"}],
    ),
    "a_batch_whose_details_add_up_is_its_details": (
        [entry(details=detail("4.00", "<AcctSvcrRef>D-1</AcctSvcrRef>") + detail("6.00", "<TxId>D-2</TxId>"))],
        [{"amount": "4.00", "transaction_id": "D-1"}, {"amount": "6.00", "transaction_id": "D-2"}],
    ),
    "a_batch_whose_details_do_not_add_up_is_one_row": (
        [entry(details=detail("4.00", text="<Ustrd>a</Ustrd>") + detail("5.00", text="<Ustrd>b</Ustrd>"))],
        [{"amount": "10.00", "transaction_id": "B-1", "remittance_text": "a b"}],
    ),
    "details_in_another_currency_do_not_add_up": (
        [entry(details=detail("4.00", currency="USD") + detail("6.00", currency="USD"))], [{"amount": "10.00"}],
    ),
    "one_detail_in_another_currency_changes_no_amount": (
        [entry(details=detail("11.00", currency="USD"))], [{"amount": "10.00", "currency": "EUR"}],
    ),
    "details_without_names_are_known_by_their_place": (
        [entry(details=detail("4.00") + detail("6.00"))],
        [{"transaction_id": "S-1/2026-07-10/1"}, {"transaction_id": "S-1/2026-07-10/2"}],
    ),
    "an_entry_without_a_name_too": (
        [entry(ref="", details=detail(refs="<EndToEndId>E-1</EndToEndId>"))],
        [{"transaction_id": "S-1/2026-07-10/1", "end_to_end_id": "E-1"}],
    ),
    "a_name_given_twice_names_nothing_alone": (
        [entry("4.00"), entry("6.00")],
        [{"transaction_id": "B-1/S-1/2026-07-10/1"}, {"transaction_id": "B-1/S-1/2026-07-10/2"}],
    ),
    "what_banks_write_where_nothing_was_said_is_nothing": (
        [entry(ref="NONREF", details=detail(refs="<EndToEndId>NOTPROVIDED</EndToEndId>"))],
        [{"transaction_id": "S-1/2026-07-10/1", "end_to_end_id": None}],
    ),
    "an_entry_that_is_not_booked_is_told_and_not_counted": (
        [entry(), entry("99.00", status="PDNG", ref="B-2")],
        [{"_malformed": None}, {"amount": "99.00", "_malformed": "entry: not booked (PDNG)"}],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ENTRIES)
@pytest.mark.parametrize("version", ["02", "08", "13"])
def test_an_entry_becomes_rows(tmp_path, case, version):
    entries, expected = ENTRIES[case]
    found = rows(tmp_path, message(*entries, version=version))
    assert [{name: row[name] for name in told} for row, told in zip(found, expected, strict=True)] == expected
    held = {row["_malformed"] for row in found if "not booked" not in (row["_malformed"] or "")}
    assert held <= {None}, "the statement balances"


UNBALANCED = "statement S-1: closing balance is not opening plus entries"
MIXED = "statement S-1: balances and entries are in different currencies"
OVERDRAWN = balance("OPBD", "5.00", sign="DBIT") + balance("CLBD", "5.00")
DAYS = (
    balance("CLBD", "110.00", "2026-07-02")
    + balance("OPBD", "100.00")
    + balance("CLBD", "105.00")
    + balance("OPBD", "105.00", "2026-07-02")
)
PAGE = "<Bal><Tp><CdOrPrtry><Cd>ITBD</Cd></CdOrPrtry><SubTp><Cd>{}</Cd></SubTp></Tp><Amt Ccy='EUR'>{}</Amt><CdtDbtInd>CRDT</CdtDbtInd></Bal>"

BALANCES = {
    # case: (balances, kind, why nothing of the statement may be used)
    "opening_and_closing": (None, "053", None),
    "the_closing_of_the_day_before_is_an_opening": (balance("PRCD", "100") + balance("CLBD", "110.0"), "053", None),
    "more_decimals_than_needed": (balance("OPBD", "100.00000") + balance("CLBD", "110.00000"), "053", None),
    "an_overdrawn_account": (OVERDRAWN, "053", None),
    "several_days": (DAYS, "053", None),
    "a_page_of_a_longer_statement": (PAGE.format("OIBD", "100.00") + PAGE.format("CIBD", "110.00"), "053", None),
    "other_balances_do_not_count": (
        balance("OPBD", "100") + balance("CLBD", "110") + balance("CLAV", "7", currency="JPY"), "053", None,
    ),
    "a_cent_too_much": (balance("OPBD", "100.00") + balance("CLBD", "110.01"), "053", UNBALANCED),
    "a_hundred_thousandth_too_little": (balance("OPBD", "100.00001") + balance("CLBD", "110.00"), "053", UNBALANCED),
    "a_lost_sign": (balance("OPBD", "100.00") + balance("CLBD", "110.00", sign="DBIT"), "053", UNBALANCED),
    "a_closing_in_another_currency": (balance("OPBD", "100.00") + balance("CLBD", "110.00", currency="SEK"), "053", MIXED),
    "no_closing": (balance("OPBD", "100.00"), "053", "statement S-1: no closing balance"),
    "no_balances": ("", "053", "statement S-1: no opening balance"),
    "a_notification_has_none": ("", "054", None),
    "a_balance_of_no_number": (balance("OPBD", "a lot") + balance("CLBD", "1"), "053", "statement S-1: a balance without an amount"),
}  # fmt: skip


@pytest.mark.parametrize("case", BALANCES)
def test_a_statement_balances_or_none_of_its_rows_is_used(tmp_path, case):
    balances, kind, why = BALANCES[case]
    found = rows(tmp_path, message(entry("6.00"), entry("4.00", ref="B-2"), balances=balances, kind=kind))
    assert [(row["amount"], row["_malformed"]) for row in found] == [("6.00", why), ("4.00", why)]


def test_each_statement_of_a_message_is_judged_for_itself(tmp_path):
    one = message(entry()).decode()
    start, end = one.index("<Stmt>"), one.index("</BkToCstmrStmt>")
    wrong = one[start:end].replace("110.00", "111.00").replace("S-1", "S-2")
    found = rows(tmp_path, (one[:end] + wrong + one[end:]).encode())
    assert [row["_malformed"] for row in found] == [None, UNBALANCED.replace("S-1", "S-2")]


def test_an_entry_without_an_amount_holds_its_statement(tmp_path):
    found = rows(tmp_path, message(entry("?"), entry(ref="B-2")))
    assert {row["_malformed"] for row in found} == {"statement S-1: an entry without an amount or a direction"}


amounts = st.decimals(min_value="0.00001", max_value="999999999999.99999", places=5)


@settings(max_examples=60, deadline=None)
@given(told=st.lists(st.tuples(amounts, st.booleans()), min_size=1, max_size=20), opening=amounts)
def test_no_digit_is_lost_and_any_lost_digit_is_noticed(tmp_path_factory, told, opening):
    moved = sum((amount if came_in else -amount for amount, came_in in told), Decimal(0))
    entries = [entry(f"{amount:f}", "CRDT" if came_in else "DBIT", ref=f"B-{n}") for n, (amount, came_in) in enumerate(told)]

    def closing(value: Decimal) -> str:
        return balance("OPBD", f"{opening:f}") + balance("CLBD", f"{abs(value):f}", sign="DBIT" if value < 0 else "CRDT")

    folder = tmp_path_factory.mktemp("camt")
    found = rows(folder, message(*entries, balances=closing(opening + moved)))
    assert [Decimal(str(row["amount"])) for row in found] == [amount if came_in else -amount for amount, came_in in told]
    assert {row["_malformed"] for row in found} == {None}
    off = rows(folder, message(*entries, balances=closing(opening + moved + Decimal("0.00001"))))
    assert {row["_malformed"] for row in off} == {UNBALANCED}


# --- files ------------------------------------------------------------------------------------------------------------

ENTITIES = b'<!DOCTYPE d [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><Document><BkToCstmrStmt>&b;</BkToCstmrStmt></Document>'
OUTSIDE = b'<!DOCTYPE d [<!ENTITY a SYSTEM "file:///etc/hostname">]><Document>&a;</Document>'
REFUSED = {
    "nothing": (b"", "the file is empty"),
    "no_xml": (b"date,amount\n", "is not whole XML"),
    "cut_off": (message(entry())[:-30], "is not whole XML"),
    "another_message": (b"<Document><CstmrCdtTrfInitn/></Document>", "is not a bank statement in a camt format"),
    "no_entries": (message(), "has no entries"),
    "an_intraday_report": (
        message(entry(), kind="052"),
        "is an intraday report (camt.052), and all it says comes again in the statement of the day",
    ),
    "entities": (ENTITIES, "declares a document type, which no bank statement needs"),
    "something_outside": (OUTSIDE, "declares a document type, which no bank statement needs"),
}
CAMT = Mapping.model_validate({"format": "camt"})


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_statement_is_refused_by_name(tmp_path, case):
    content, why = REFUSED[case]
    path = tmp_path / "s.xml"
    path.write_bytes(content)
    file = LandingFile(ALPHA, "bank_transactions", path, len(content), "sha", CAMT)
    assert unreadable(file) == why


def test_a_refused_file_does_not_reach_landing_and_a_packed_one_does(home, tmp_path):
    who = tenant(bank_transactions={"format": "camt"})
    (tmp_path / "bad.xml").write_bytes(message())
    (tmp_path / "good.xml.gz").write_bytes(gzip.compress(message(entry())))
    with pytest.raises(CallError, match=r"bad\.xml has no entries\. Nothing was landed"):
        land("bank_transactions", who, [tmp_path / "bad.xml"])
    land("bank_transactions", who, [tmp_path / "good.xml.gz"])
    dropped(home, ALPHA, "bank_transactions", "cut.xml", message(entry())[:-9])
    assert {file.path.name: file.reason for file in arrivals({ALPHA: who}, [], None)} == {
        "cut.xml": "is not whole XML",
        "good.xml.gz": None,
    }


def test_the_standard_names_the_columns_and_a_mapping_may_say_otherwise():
    assert CAMT.columns == {name: name for name in CAMT_COLUMNS}
    other = Mapping.model_validate({"format": "camt", "columns": {"bank_account": {"constant": "OURS"}}})
    assert {name for name, how in other.columns.items() if how != name} == {"bank_account"}


def test_batches_carry_the_columns_asked_for_and_number_rows_through(monkeypatch):
    monkeypatch.setattr(camt, "BATCH", 2)
    entries = [entry("1.00", ref=f"B-{n}") for n in range(10)]
    batches = list(camt.records(io.BytesIO(message(*entries)), ("amount", "transaction_id")))
    assert [batch.num_rows for batch in batches] == [2] * 5
    assert [n for batch in batches for n in batch.column(0).to_pylist()] == list(range(1, 11))
    assert batches[0].schema.names == ["row_number", "_malformed", "amount", "transaction_id"]


def test_a_large_statement_is_read_entry_by_entry():
    batches = camt.records(io.BytesIO(message(*(entry("0.01", ref=f"B-{n}") for n in range(20_000)))), ("amount",))
    assert sum(batch.num_rows for batch in batches) == 20_000


def test_rows_reach_the_feed_and_a_held_statement_the_quarantine(spark, tmp_path):
    contents = {
        "good": message(entry(details=detail(parties=OLD_PARTIES, text=STRUCTURED)), version="08"),
        "held": message(entry(), balances=balance("OPBD", "1.00") + balance("CLBD", "2.00"), id="S-9"),
        "packed": gzip.compress(message(entry("3.00", "DBIT"), kind="054", balances="", id="N-1")),
    }
    files = []
    for name, content in contents.items():
        path = tmp_path / f"{name}.xml{'.gz' if name == 'packed' else ''}"
        path.write_bytes(content)
        files.append(LandingFile(ALPHA, "bank_transactions", path, len(content), name, CAMT))
    found = canonical(decoded(spark, files, CAMT), "bank_transactions", CAMT)
    names = {file.landing_id: file.content_sha256 for file in files}
    told = {names[row["landing_id"]]: row.asDict() for row in found.collect()}
    assert {name: row["reasons"] for name, row in told.items()} == {
        "good": [],
        "held": ["statement S-9: closing balance is not opening plus entries"],
        "packed": [],
    }
    good = told["good"]
    assert (good["amount"], str(good["booking_date"]), good["reference"]) == (Decimal(10), "2026-07-10", "RF18 5390")
    assert told["packed"]["amount"] == Decimal(-3)
    shown = json.loads(good["source_row"])
    assert shown["counterparty_name"] == shown["counterparty_iban"] == shown["reference"] == "(personal)"


# --- files of others --------------------------------------------------------------------------------------------------

OTHERS = {
    # file: (refused, or held, or neither; rows)
    "camt052.v4": (REFUSED["an_intraday_report"][1], None, 0),
    "camt053.v2.five.decimals": (None, UNBALANCED, 1),
    "camt053.v2.minimal": (None, MIXED, 1),
    "camt053.v8": (None, MIXED, 1),
    "camt054.v2": (None, None, 1),
}


@real_files
@pytest.mark.parametrize("name", OTHERS)
def test_files_of_others_balance_or_are_refused_or_held(name):
    refused, held, count = OTHERS[name]
    path = DATA / f"{name}.xml"
    with path.open("rb") as stream:
        assert camt.unreadable(stream) == refused
    if refused:
        return
    found = camt.read(path)
    told = json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
    entries = [{"amount": e["getAmount"]["getAmount"], "currency": e["getAmount"]["getCurrency"]["getCode"],
                "day": e["getBookingDate"]["0"][:10]} for e in told["getEntries"]]  # fmt: skip
    minor = [{"amount": f"{Decimal(str(row['amount'])) * 100:f}".split(".")[0], "currency": row["currency"],
              "day": row["booking_date"]} for row in found]  # fmt: skip
    assert minor == entries, "the other reader's amounts are in minor units"
    account = told["getEntries"][0]["getRecord"]["getAccount"]["getIdentification"]
    statement = told["getEntries"][0]["getRecord"]["getId"]
    assert {row["bank_account"] for row in found} == {account}
    assert {row["statement_id"] for row in found} == {statement}
    expected = held.replace("S-1", statement) if held else None
    assert [row["_malformed"] for row in found] == [expected] * count


@real_files
def test_the_other_reader_sees_the_same_imbalance():
    """Its opening and closing balances, in minor units and by currency, do not go together with its entries either."""
    for name in (name for name, (_, held, _) in OTHERS.items() if held):
        told = json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
        balances = {b["getType"]: b["getAmount"] for b in told["getEntries"][0]["getRecord"]["getBalances"]}
        opening, closing = balances["opening"], balances["closing"]
        moved = sum(int(e["getAmount"]["getAmount"]) for e in told["getEntries"])
        same = opening["getCurrency"] == closing["getCurrency"]
        assert not (same and int(opening["getAmount"]) + moved == int(closing["getAmount"]))
