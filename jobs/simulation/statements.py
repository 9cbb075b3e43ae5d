"""Bank statements as a bank sends them: camt.053 of ISO 20022, in the versions of 2009 and 2019."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from xml.sax.saxutils import escape

from jobs.simulation.months import Month

V2 = "camt.053.001.02"


@dataclass(frozen=True)
class Entry:
    """One booking; money that came in is positive."""

    transaction_id: str
    amount: Decimal
    booked: date
    party: str
    party_account: str | None = None
    references: tuple[str, ...] = ()  # where the message has a place of its own for them
    text: str = ""
    end_to_end_id: str = "NOTPROVIDED"


@dataclass(frozen=True)
class Statement:
    """One account's month."""

    account: str
    owner: str
    bank: str  # BIC
    currency: str
    month: Month
    opening: Decimal
    entries: Sequence[Entry]

    @property
    def closing(self) -> Decimal:
        """What the account has at the end."""
        return self.opening + sum((entry.amount for entry in self.entries), Decimal(0))

    @property
    def name(self) -> str:
        """What the bank calls it."""
        return f"{self.month.name}-{self.account[-12:]}"


def statement_bytes(statement: Statement, version: str) -> bytes:
    """The statement as one file; equal statements are equal to the byte."""
    first, after = statement.month.day(1), statement.month.later(1).day(1)
    written = f"{after.isoformat()}T04:00:00Z"
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:{version}">',
        f"<BkToCstmrStmt><GrpHdr><MsgId>{statement.name}</MsgId><CreDtTm>{written}</CreDtTm></GrpHdr>",
        f"<Stmt><Id>{statement.name}</Id><ElctrncSeqNb>{statement.month.number}</ElctrncSeqNb><CreDtTm>{written}</CreDtTm>",
        f"<FrToDt><FrDtTm>{first}T00:00:00Z</FrDtTm><ToDtTm>{after}T00:00:00Z</ToDtTm></FrToDt>",
        f"<Acct><Id>{_identified(statement.account)}</Id><Ccy>{statement.currency}</Ccy>"
        f"<Ownr><Nm>{escape(statement.owner)}</Nm></Ownr></Acct>",
        _balance("OPBD", statement.opening, statement.currency, first),
        _balance("CLBD", statement.closing, statement.currency, _last_day(statement.month)),
        *(line for entry in statement.entries for line in _entry(entry, statement.currency, version)),
        "</Stmt></BkToCstmrStmt></Document>",
    ]
    return ("\n".join(lines) + "\n").encode()


def _entry(entry: Entry, currency: str, version: str) -> Iterator[str]:
    """One entry with one transaction; the parties moved into a choice after 2009."""
    status = "BOOK" if version == V2 else "<Cd>BOOK</Cd>"
    who, family = ("Dbtr", "RCDT") if entry.amount > 0 else ("Cdtr", "ICDT")
    name = f"<Nm>{escape(entry.party)}</Nm>"
    party = name if version == V2 else f"<Pty>{name}</Pty>"
    account = f"<{who}Acct><Id>{_identified(entry.party_account)}</Id></{who}Acct>" if entry.party_account else ""
    structured = "".join(f"<Strd><CdtrRefInf><Ref>{escape(one)}</Ref></CdtrRefInf></Strd>" for one in entry.references)
    free = f"<Ustrd>{escape(entry.text)}</Ustrd>" if entry.text else ""
    yield (
        f"<Ntry>{_amount(entry.amount, currency)}<Sts>{status}</Sts>"
        f"<BookgDt><Dt>{entry.booked}</Dt></BookgDt><ValDt><Dt>{entry.booked}</Dt></ValDt>"
        f"<AcctSvcrRef>{entry.transaction_id}</AcctSvcrRef>"
    )
    yield f"<BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>{family}</Cd><SubFmlyCd>ESCT</SubFmlyCd></Fmly></Domn></BkTxCd>"
    yield f"<NtryDtls><TxDtls><Refs><EndToEndId>{escape(entry.end_to_end_id)}</EndToEndId></Refs>"
    yield f"<RltdPties><{who}>{party}</{who}>{account}</RltdPties>"
    if structured or free:
        yield f"<RmtInf>{free}{structured}</RmtInf>"
    yield "</TxDtls></NtryDtls></Ntry>"


def _balance(code: str, amount: Decimal, currency: str, day: date) -> str:
    return f"<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>{_amount(amount, currency)}<Dt><Dt>{day}</Dt></Dt></Bal>"


def _amount(amount: Decimal, currency: str) -> str:
    places = 0 if currency == "JPY" else 2
    return f'<Amt Ccy="{currency}">{abs(amount):.{places}f}</Amt><CdtDbtInd>{"DBIT" if amount < 0 else "CRDT"}</CdtDbtInd>'


def _identified(account: str) -> str:
    """An IBAN, or what else an account is called."""
    is_iban = account[:2].isalpha() and account[2:4].isdigit()
    return f"<IBAN>{account}</IBAN>" if is_iban else f"<Othr><Id>{account}</Id></Othr>"


def _last_day(month: Month) -> date:
    return date.fromordinal(month.later(1).day(1).toordinal() - 1)
