"""What tax law asks of a customer: where the address lies, what the tax id says, which certificates hold.

Names, addresses and ids stay here: what leaves are codes, statuses and the names of territories. Ids are read once each, on the workers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from functools import reduce
from itertools import chain
from typing import Literal

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.ledger.taxes import Territories, Territory

ID_READ = "tax_id string, id_owner string, id_country string, id_number string, id_form boolean"
OF_A_CUSTOMER = (  # what customers() returns beside tenant_id and account_id
    "customer_country", "customer_region", "payment_terms_days", "region_code", "vat_country", "territory", "territory_treatment",
    "rate_place", "union_from", "union_to", "is_business", "id_status", "id_country", "place_of_supply", "jurisdiction",
    "certificates",
)  # fmt: skip
EVERYWHERE = "*"  # the jurisdiction of a certificate that holds in all of them
GREECE = {"EL": "GR"}  # tax ids call it so
EMIRATES = re.compile(r"1\d{14}")  # the only country of the issue whose ids the library does not know
NUMBER_FORMS = {
    "NO": ("mva", "orgnr"),
    "CH": ("vat", "uid"),
    "JP": ("cn",),
    "IN": ("gstin",),
}  # what else than `vat` counts as one


def customers(
    accounts: DataFrame,
    registrations: DataFrame,
    exemptions: DataFrame,
    territories: Territories,
    day: date,
    oldest_check_days: int | None = None,
) -> DataFrame:
    """What is known of every customer on a day: tenant_id, account_id and OF_A_CUSTOMER.

    accounts: one row per account. registrations, exemptions: standing rows of raw. day: the last of the billed month.
    oldest_check_days: after how many days a registry check no longer counts; None: it always does.
    """
    ids = _ids(accounts, registrations)
    checked = _checked(registrations, ids, day, oldest_check_days)
    read = accounts.join(ids, on=_same_id(accounts, ids), how="left").drop(ids.tax_id, ids.id_owner)
    known = read.join(checked, on=["tenant_id", "id_country", "id_number"], how="left")
    placed = _placed(known.join(_certificates(exemptions), on=["tenant_id", "account_id"], how="left"), territories, day)
    form, told = F.col("id_form"), F.col("tax_id").isNotNull()
    status = (
        F.when(~told, F.lit("none")).when(~form, F.lit("invalid_form")).otherwise(F.coalesce("registered", F.lit("unknown")))
    )
    gstin_state = F.when(form & (F.col("id_country") == "IN"), F.substring("id_number", 1, 2))
    return placed.select(
        "tenant_id", "account_id", F.col("country").alias("customer_country"), F.col("region").alias("customer_region"),
        "payment_terms_days", "region_code", "vat_country", "territory", "territory_treatment", "rate_place", "union_from", "union_to",
        F.coalesce("is_business", told).alias("is_business"), status.alias("id_status"),
        F.when(form, F.col("id_country")).alias("id_country"),
        F.when(F.col("vat_country") == "IN", F.coalesce(gstin_state, "region_code")).alias("place_of_supply"),
        F.col("tax_jurisdiction").alias("jurisdiction"), "certificates",
    )  # fmt: skip


# --- ids --------------------------------------------------------------------------------------------------------------


def _ids(accounts: DataFrame, registrations: DataFrame) -> DataFrame:
    """Every tax id with the country beside it, read once: ID_READ."""
    told = [
        rows.select("tax_id", F.col("country").alias("id_owner")).where(F.col("tax_id").isNotNull())
        for rows in (accounts, registrations)
    ]
    return told[0].unionByName(told[1]).distinct().mapInArrow(_read_batches, ID_READ)


def _same_id(rows: DataFrame, ids: DataFrame) -> Column:
    return (rows.tax_id == ids.tax_id) & rows.country.eqNullSafe(ids.id_owner)


def _read_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        ids, owners = (batch.column(name).to_pylist() for name in ("tax_id", "id_owner"))
        found = [read_id(tax_id, owner) for tax_id, owner in zip(ids, owners, strict=True)]
        columns = [pa.array(ids, pa.string()), pa.array(owners, pa.string())]
        columns += [
            pa.array([one[at] for one in found], kind) for at, kind in enumerate((pa.string(), pa.string(), pa.bool_()))
        ]
        yield pa.RecordBatch.from_arrays(columns, ["tax_id", "id_owner", "id_country", "id_number", "id_form"])


def read_id(tax_id: str, country: str | None) -> tuple[str | None, str, bool | None]:
    """The country that gave a tax id, its number without that country's prefix, and whether its form is right.

    country: on the address; a member state's prefix on the id goes before it. None for the form: no library knows that country's.
    """
    from stdnum import get_cc_module
    from stdnum.eu import vat as union

    number = re.sub(r"[^0-9A-Z]", "", tax_id.upper())
    owner = GREECE.get(country or "", country)
    prefix = number[:2]
    if (GREECE.get(prefix, prefix)).lower() in union.MEMBER_STATES and union.is_valid(number):
        return GREECE.get(prefix, prefix), number[2:], True
    if owner is None:
        return None, number, None
    bare = number[2:] if prefix in (owner, country) and owner not in ("CH", "IN") else number
    if owner.lower() in union.MEMBER_STATES:
        return owner, bare, bool(union.is_valid(("EL" if owner == "GR" else owner) + bare))
    if owner == "AE":
        return owner, bare, EMIRATES.fullmatch(bare) is not None
    if owner == "JP":
        bare = bare.removeprefix("T")  # the number of a qualified invoice issuer: T and the corporate number
    kinds = NUMBER_FORMS.get(owner, ("vat",))
    modules = [module for module in (get_cc_module(owner, kind) for kind in kinds) if module is not None]
    if not modules:
        return owner, bare, None
    return owner, bare, any(module.is_valid(number) or module.is_valid(bare) for module in modules)


def _checked(registrations: DataFrame, ids: DataFrame, day: date, oldest_days: int | None) -> DataFrame:
    """What the latest check up to a day said of every id: tenant_id, id_country, id_number, registered (valid, unregistered, in_check)."""
    on = F.to_date("checked_at")
    recent = on <= F.lit(day)
    if oldest_days is not None:
        recent = recent & (on >= F.date_sub(F.lit(day), oldest_days))
    read = registrations.where(recent).join(ids, on=_same_id(registrations, ids), how="inner")
    latest = F.max_by("status", F.struct("checked_at", "landing_id", "row_number"))
    said = F.when(F.col("status") == "invalid", "unregistered").otherwise(F.col("status"))
    return (
        read.groupBy("tenant_id", "id_country", "id_number")
        .agg(latest.alias("status"))
        .select("tenant_id", "id_country", "id_number", said.alias("registered"))
    )


# --- certificates -----------------------------------------------------------------------------------------------------


def _certificates(exemptions: DataFrame) -> DataFrame:
    """Exemptions from tax: tenant_id, account_id, certificates (jurisdiction, "*" or null for all; valid_from, valid_to)."""
    one = F.struct("jurisdiction", "valid_from", "valid_to")
    return (
        exemptions.where(F.col("kind") == "tax")
        .groupBy("tenant_id", "account_id")
        .agg(F.array_sort(F.collect_set(one)).alias("certificates"))
    )


def is_exempt(day: Column) -> Column:
    """Whether one of a customer's certificates holds on a day, in the country, region or jurisdiction it is taxed in."""
    places = (F.col("vat_country"), F.col("region_code"), F.col("jurisdiction"))

    def holds(one: Column) -> Column:
        place = one["jurisdiction"]
        there = reduce(lambda left, right: left | right, (F.coalesce(place == told, F.lit(False)) for told in places))
        in_time = (one["valid_from"] <= day) & (one["valid_to"].isNull() | (day < one["valid_to"]))
        return (F.coalesce(place == EVERYWHERE, F.lit(True)) | there) & in_time

    return F.coalesce(F.exists("certificates", holds), F.lit(False))


# --- places -----------------------------------------------------------------------------------------------------------


def _placed(accounts: DataFrame, told: Territories, day: date) -> DataFrame:
    """Accounts with what their address means for tax: territory, territory_treatment, vat_country, rate_place, union_from,
    union_to, region_code. union_from, union_to: when the address lies in the VAT area of the Union, null for never and for no end."""
    in_force = [one for one in told.territories if _holds(one, day)]
    country = F.col("country")
    for alias in (one for one in in_force if one.name is None):
        country = F.when(F.col("country") == alias.country, F.lit(alias.of)).otherwise(country)
    region = F.upper(F.trim(F.regexp_replace("region", r"^[A-Za-z]{2}-", "")))
    codes = {f"{country}|{name}": code for country, names in told.regions.items() for name, code in names.items()}
    coded = F.create_map(*(F.lit(text) for pair in sorted(codes.items()) for text in pair)) if codes else None
    known = coded[F.concat(country, F.lit("|"), region)] if coded is not None else F.lit(None)
    named = [one for one in in_force if one.name is not None]
    found = accounts.withColumn("law_country", country).withColumn("found", _territory(named))
    vat_country = F.coalesce("found.of", "law_country")
    outside = F.coalesce(F.col("found.treatment") == "outside", F.lit(False))
    return found.select(
        *accounts.columns,
        F.col("found.name").alias("territory"),
        F.col("found.treatment").alias("territory_treatment"),
        vat_country.alias("vat_country"),
        F.coalesce("found.place", vat_country).alias("rate_place"),
        F.when(~outside, _of_member(told, vat_country, "valid_from")).alias("union_from"),
        F.when(~outside, _of_member(told, vat_country, "valid_to")).alias("union_to"),
        F.coalesce(known, region).alias("region_code"),
    )


def _of_member(told: Territories, country: Column, name: Literal["valid_from", "valid_to"]) -> Column:
    """A day of a member state's time in the Union; null for other countries, and for a day that is not told."""
    days = [(member.country, getattr(member, name)) for member in told.members]
    known = [(F.lit(state), F.lit(day)) for state, day in sorted(days) if day is not None]
    return F.create_map(*chain.from_iterable(known))[country] if known else F.lit(None).cast("date")


def in_union(day: Column) -> Column:
    """Whether a customer's address lies in the VAT area of the Union on a day; null where its country is not known."""
    inside = (day >= F.col("union_from")) & (F.col("union_to").isNull() | (day < F.col("union_to")))
    return F.when(F.col("vat_country").isNotNull(), F.coalesce(inside, F.lit(False)))


def _territory(territories: list[Territory]) -> Column:
    """The first territory that an address lies in: name, treatment, of, place; null for none."""
    code = F.regexp_replace(F.upper("postal_code"), r"[^0-9A-Z]", "")
    country = F.col("law_country")
    postcode = F.when(F.substring(code, 1, 2).isin(country, F.col("country")), F.substring(code, 3, 20)).otherwise(code)
    chosen = None
    for one in territories:
        lies = country == one.country
        if one.postcodes is not None:
            lies = lies & F.coalesce(postcode.rlike(one.postcodes), F.lit(False))
        parts = {"name": one.name, "treatment": one.treatment, "of": one.of, "place": one.place}
        told = F.struct(*(F.lit(value).cast("string").alias(name) for name, value in parts.items()))
        chosen = F.when(lies, told) if chosen is None else chosen.when(lies, told)
    nowhere = F.lit(None).cast("struct<name: string, treatment: string, of: string, place: string>")
    return nowhere if chosen is None else chosen


def _holds(told: Territory, day: date) -> bool:
    return told.valid_from <= day and (told.valid_to is None or day < told.valid_to)
