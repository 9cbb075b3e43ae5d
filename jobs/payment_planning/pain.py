"""pain.001.001.09, the customer credit transfer initiation of ISO 20022: written through pyiso20022, judged by the standard's schema.

The same batch gives the same bytes: nothing in a file comes from a clock or from chance.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from importlib.resources import files

import pyiso20022.pain.pain_001_001_09 as iso
from lxml import etree
from xsdata.formats.dataclass.serializers import XmlSerializer
from xsdata.formats.dataclass.serializers.config import SerializerConfig
from xsdata.models.datatype import XmlDate, XmlDateTime

from jobs.ledger.money import NO_MINOR_UNITS, THREE_MINOR_UNITS

NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"
IBAN = re.compile("[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
NOT_IN_SEPA = re.compile(r"[^A-Za-z0-9/\-?:().,'+ ]")  # the signs every bank of the area must take; EPC217-08
WRITTEN_OUT = str.maketrans(
    {"ß": "ss", "Æ": "AE", "æ": "ae", "Ø": "O", "ø": "o", "Ł": "L", "ł": "l", "Đ": "D", "đ": "d", "&": "+"}
)
TEXT = 140  # signs of one line of remittance information
NAME = 70  # of a party, which is all that SEPA takes


@dataclass(frozen=True)
class Batch:
    """What all payments of a file share."""

    batch_id: str
    method: str  # sepa | transfer | immediate
    currency: str
    value_date: date
    created: datetime  # in UTC; the end of the run's period
    debtor_name: str
    debtor_account: str
    debtor_bic: str | None


@dataclass(frozen=True)
class Payment:
    """One payment to one creditor, for one invoice and perhaps less some credit notes."""

    end_to_end_id: str
    amount: Decimal
    creditor_name: str
    creditor_account: str
    is_sepa: bool
    invoice_number: str
    credit_notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """What a file says, read back."""

    problem: str  # empty when the file is valid
    message_id: str = ""
    group_count: int = 0  # as the group header says
    group_sum: Decimal = Decimal(0)
    info_count: int = 0  # as the payment information says
    info_sum: Decimal = Decimal(0)
    count: int = 0  # as they are
    sum: Decimal = Decimal(0)
    names: int = 0  # different end-to-end ids
    currencies: str = ""
    value_dates: str = ""
    debtor_accounts: str = ""


def in_coins(amount: Decimal, currency: str) -> Decimal:
    """An amount with exactly the decimals of its currency; one that is finer raises."""
    places = 0 if currency in NO_MINOR_UNITS else 3 if currency in THREE_MINOR_UNITS else 2
    exact = amount.quantize(Decimal(1).scaleb(-places))
    if exact != amount:
        raise ValueError("an amount is finer than the smallest coin of its currency")
    return exact


def rendered(batch: Batch, payments: Sequence[Payment]) -> bytes:
    """The file of a batch. payments are written in the order of their end-to-end ids."""
    ordered = sorted(payments, key=lambda payment: payment.end_to_end_id)
    total = sum((in_coins(payment.amount, batch.currency) for payment in ordered), Decimal(0))
    count, total = str(len(ordered)), in_coins(total, batch.currency)
    created, name = batch.created, _name(batch.debtor_name, batch.method != "transfer")
    message_id = batch.batch_id[:35]
    document = iso.Document(
        cstmr_cdt_trf_initn=iso.CustomerCreditTransferInitiationV09(
            grp_hdr=iso.GroupHeader85(
                msg_id=message_id,
                cre_dt_tm=XmlDateTime(
                    created.year, created.month, created.day, created.hour, created.minute, created.second, 0, 0
                ),
                nb_of_txs=count,
                ctrl_sum=total,
                initg_pty=iso.PartyIdentification135(nm=name),
            ),
            pmt_inf=[
                iso.PaymentInstruction30(
                    pmt_inf_id=message_id,
                    pmt_mtd=iso.PaymentMethod3Code.TRF,
                    nb_of_txs=count,
                    ctrl_sum=total,
                    pmt_tp_inf=None
                    if batch.method == "immediate"
                    else _service("SEPA" if batch.method == "sepa" else "NURG"),
                    reqd_exctn_dt=iso.DateAndDateTime2Choice(
                        dt=XmlDate(batch.value_date.year, batch.value_date.month, batch.value_date.day)
                    ),
                    dbtr=iso.PartyIdentification135(nm=name),
                    dbtr_acct=iso.CashAccount38(id=_account(batch.debtor_account), ccy=batch.currency),
                    dbtr_agt=iso.BranchAndFinancialInstitutionIdentification6(fin_instn_id=_bank(batch.debtor_bic)),
                    chrg_br=iso.ChargeBearerType1Code.SLEV if batch.method == "sepa" else None,
                    cdt_trf_tx_inf=[_transaction(payment, batch) for payment in ordered],
                )
            ],
        )
    )
    serializer = XmlSerializer(config=SerializerConfig(xml_declaration=True))
    return serializer.render(document, ns_map={None: NAMESPACE}).encode()


def _transaction(payment: Payment, batch: Batch) -> iso.CreditTransferTransaction34:
    latin = batch.method == "sepa" or payment.is_sepa
    return iso.CreditTransferTransaction34(
        pmt_id=iso.PaymentIdentification6(end_to_end_id=payment.end_to_end_id),
        pmt_tp_inf=_at_once(payment) if batch.method == "immediate" else None,
        amt=iso.AmountType4Choice(
            instd_amt=iso.ActiveOrHistoricCurrencyAndAmount(
                value=in_coins(payment.amount, batch.currency), ccy=batch.currency
            )
        ),
        cdtr=iso.PartyIdentification135(nm=_name(payment.creditor_name, latin)),
        cdtr_acct=iso.CashAccount38(id=_account(payment.creditor_account)),
        rmt_inf=iso.RemittanceInformation16(ustrd=[_text(payment, latin)]),
    )


def _service(code: str) -> iso.PaymentTypeInformation26:
    return iso.PaymentTypeInformation26(svc_lvl=[iso.ServiceLevel8Choice(cd=code)])


def _at_once(payment: Payment) -> iso.PaymentTypeInformation26:
    """SEPA instant where both accounts are in the area; elsewhere the bank is told that it is urgent."""
    if not payment.is_sepa:
        return _service("URGP")
    return iso.PaymentTypeInformation26(
        svc_lvl=[iso.ServiceLevel8Choice(cd="SEPA")], lcl_instrm=iso.LocalInstrument2Choice(cd="INST")
    )


def _account(number: str) -> iso.AccountIdentification4Choice:
    if IBAN.fullmatch(number):
        return iso.AccountIdentification4Choice(iban=number)
    return iso.AccountIdentification4Choice(othr=iso.GenericAccountIdentification1(id=number))


def _bank(bic: str | None) -> iso.FinancialInstitutionIdentification18:
    if bic:
        return iso.FinancialInstitutionIdentification18(bicfi=bic)
    return iso.FinancialInstitutionIdentification18(othr=iso.GenericFinancialIdentification1(id="NOTPROVIDED"))


def _text(payment: Payment, latin: bool) -> str:
    told = payment.invoice_number
    if payment.credit_notes:
        less = f"{told} less {', '.join(payment.credit_notes)}"
        told = less if len(less) <= TEXT else f"{told} less {len(payment.credit_notes)} credit notes"
    return _plain(told, latin)[:TEXT] or payment.end_to_end_id


def _name(text: str, latin: bool) -> str:
    return _plain(text, latin)[:NAME].strip() or "-"


def _plain(text: str, latin: bool) -> str:
    """Without signs that XML cannot carry; in a SEPA file without those that not every bank of the area takes."""
    printable = "".join(sign if unicodedata.category(sign)[0] != "C" else " " for sign in text)
    if latin:
        bare = unicodedata.normalize("NFKD", printable.translate(WRITTEN_OUT))
        printable = NOT_IN_SEPA.sub(".", "".join(sign for sign in bare if not unicodedata.combining(sign)))
    return " ".join(printable.split())


@cache
def _schema() -> etree.XMLSchema:
    """The standard's own schema, which the sepaxml package carries; compiled once a process."""
    with (files("sepaxml") / "schemas" / "pain.001.001.09.xsd").open("rb") as opened:
        return etree.XMLSchema(etree.parse(opened))


def found(content: bytes) -> Found:
    """Read a file back, whoever wrote it: whether it is valid, and what it says."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError:
        return Found("it is no XML")
    if not _schema().validate(root):
        error = next(iter(_schema().error_log))
        return Found(f"line {error.line}: {error.type_name}")  # the message itself would carry the value
    names = {"p": NAMESPACE}

    def texts(path: str) -> list[str]:
        return [str(text) for text in root.xpath(f"//p:CstmrCdtTrfInitn/{path}/text()", namespaces=names)]

    def numbers(path: str) -> list[Decimal]:
        return [Decimal(text) for text in texts(path)]

    amounts = numbers("p:PmtInf/p:CdtTrfTxInf/p:Amt/p:InstdAmt")
    currencies = root.xpath("//p:InstdAmt/@Ccy", namespaces=names)
    accounts = texts("p:PmtInf/p:DbtrAcct/p:Id/p:IBAN") + texts("p:PmtInf/p:DbtrAcct/p:Id/p:Othr/p:Id")
    return Found(
        problem="",
        message_id=_all(texts("p:GrpHdr/p:MsgId")),
        group_count=int(sum(numbers("p:GrpHdr/p:NbOfTxs"))),
        group_sum=sum(numbers("p:GrpHdr/p:CtrlSum"), Decimal(0)),
        info_count=int(sum(numbers("p:PmtInf/p:NbOfTxs"))),
        info_sum=sum(numbers("p:PmtInf/p:CtrlSum"), Decimal(0)),
        count=len(amounts),
        sum=sum(amounts, Decimal(0)),
        names=len(set(texts("p:PmtInf/p:CdtTrfTxInf/p:PmtId/p:EndToEndId"))),
        currencies=_all(map(str, currencies)),
        value_dates=_all(texts("p:PmtInf/p:ReqdExctnDt/p:Dt")),
        debtor_accounts=_all(accounts),
    )


def _all(values: Iterable[str]) -> str:
    return ",".join(sorted(set(values)))
