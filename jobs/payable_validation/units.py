"""Lines of vendor invoices and what was decided of them before, to one row per payable."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql import types as T

from jobs.ledger.columns import AMOUNT, COUNT, QUANTITY
from jobs.ledger.money import minor_units
from jobs.payable_validation.tables import ACCEPT, DECISIONS, HOLD, REJECT

MORE_DECIMALS = 21  # what amount_decimals says where three are not enough
AMOUNTS = ("gross_amount", "net_amount", "tax_amount")
_HEADER = ("vendor_id", "business_line", "country", "document_type", "invoice_number", "invoice_date", "due_date", "terms")
_OF_LINES = ("po_number", "iban", "vendor_tax_id")  # said by lines only; a decision does not keep them


def units(lines: DataFrame, decisions: DataFrame, homes: DataFrame) -> DataFrame:
    """What there is to decide per source and currency: what its lines say, less what was finally decided of it.

    Lines and earlier decisions are summed in one pass, decisions with the sign turned. Sources that were wholly decided stay,
    with is_open false: a later equal invoice is told from them.
    """
    both = _as_rows(lines).unionByName(_of_decisions(decisions))
    source = ["tenant_id", "source_id"]
    is_line = F.col("decided").isNull()
    final = F.col("decided.decision").isin(ACCEPT, REJECT)
    accepted = F.col("decided.decision") == ACCEPT
    sums = []
    for name in AMOUNTS:
        signed = F.when(is_line, F.col(name)).when(final, -F.col(name))
        sums.append(F.sum(signed).cast(QUANTITY).alias(f"rest_{name}"))
        sums.append(F.count(F.when(is_line, F.col(name))).alias(f"stated_{name}"))
    agreed = [F.min(F.when(is_line, F.col(name))).eqNullSafe(F.max(F.when(is_line, F.col(name))))
              for name in ("vendor_id", "invoice_number", "country")]  # fmt: skip
    summed = (
        both.repartition(*source)
        .groupBy(*source, "currency")
        .agg(
            *sums,
            F.count_if(is_line).alias("lines_received"),
            F.coalesce(F.sum(F.when(is_line, F.lit(1)).when(final, -F.col("decided.line_count"))), F.lit(0)).alias(
                "rest_lines"
            ),
            F.min("told").alias("first"),
            F.max("decided").alias("last"),
            F.min("decided.payable_id").alias("base_id"),
            F.count_if(final).alias("finals"),
            F.count_if(final & F.col("gross_amount").isNull()).alias("finals_unstated"),
            F.sum(F.when(accepted, F.col("gross_amount"))).cast(QUANTITY).alias("accepted_gross"),
            (agreed[0] & agreed[1] & agreed[2]).alias("lines_agree"),
        )
    )
    together = Window.partitionBy(*source)
    in_turn = together.orderBy(F.col("base_id").isNull(), F.col("first.received_at"), "currency")
    named = summed.select(
        "*",
        F.row_number().over(in_turn).alias("turn"),
        F.count_if(F.col("lines_received") > 0).over(together).alias("siblings"),
    )
    return _with_header(named.join(F.broadcast(homes), on="tenant_id", how="left"))


def _as_rows(lines: DataFrame) -> DataFrame:
    told = F.struct("received_at", "landing_id", "row_number", *_HEADER, *_OF_LINES)
    return lines.select(
        "tenant_id", F.coalesce("payable_id", "record_id").alias("source_id"), "currency", *AMOUNTS,
        "vendor_id", "invoice_number", "country", told.alias("told"),
    ).withColumn("decided", F.lit(None).cast(_DECIDED))  # fmt: skip


_TOLD = T.StructType(
    [
        T.StructField("received_at", T.TimestampType()),
        T.StructField("landing_id", T.StringType()),
        T.StructField("row_number", T.LongType()),
        *(DECISIONS.schema[name] for name in _HEADER),
        *(T.StructField(name, T.StringType()) for name in _OF_LINES),
    ]
)
_KEPT = ("decided_at", "decision", "payable_id", "rule_ids", "line_count", "received_on", *_HEADER)
_DECIDED = T.StructType(
    [*(DECISIONS.schema[name] for name in _KEPT), *(T.StructField(f"was_{name}", AMOUNT) for name in AMOUNTS)]
)


def _of_decisions(decisions: DataFrame) -> DataFrame:
    """Earlier decisions in the shape of lines; the greatest struct is the latest decision."""
    was = [F.col(name).alias(f"was_{name}") for name in AMOUNTS]
    return decisions.select(
        "tenant_id", "source_id", "currency", *(F.col(name).cast(QUANTITY).alias(name) for name in AMOUNTS),
        "vendor_id", "invoice_number", "country", F.lit(None).cast(_TOLD).alias("told"),
        F.struct(*_KEPT, *was).cast(_DECIDED).alias("decided"),
    )  # fmt: skip


def _with_header(units: DataFrame) -> DataFrame:
    """Names, dates and amounts of each payable, as the record shows them."""
    finals = F.col("finals") > 0
    held = F.col("last.decision") == HOLD
    first_name = F.when(F.col("turn") == 1, F.col("source_id")).otherwise(
        F.concat_ws("~", "source_id", F.coalesce("currency", F.lit("no-currency")))
    )
    payable_id = (
        F.when(F.coalesce(held, F.lit(False)), F.col("last.payable_id"))
        .when(finals, F.concat_ws("~", "base_id", F.col("finals").cast("string")))
        .otherwise(first_name)
    )
    moved = F.col("rest_lines") != 0
    for name in AMOUNTS:
        moved = moved | (F.coalesce(f"rest_{name}", F.lit(0)) != 0)
    is_open = ~finals | F.when(F.col("finals_unstated") > 0, F.col("rest_lines") != 0).otherwise(moved)
    stated = {
        "gross_amount": (F.col("stated_gross_amount") == F.col("lines_received")) & (F.col("finals_unstated") == 0),
        "net_amount": (F.col("stated_net_amount") > 0) & (F.col("finals_unstated") == 0),
        "tax_amount": (F.col("stated_tax_amount") > 0) & (F.col("finals_unstated") == 0),
    }
    exact = {name: F.when(stated[name], F.coalesce(f"rest_{name}", F.lit(0).cast(QUANTITY))) for name in AMOUNTS}
    local = F.to_date(F.from_utc_timestamp(F.col("first.received_at"), F.col("timezone")))
    has_lines = F.col("first").isNotNull()
    header = {name: F.when(has_lines, F.col(f"first.{name}")).otherwise(F.col(f"last.{name}")) for name in _HEADER}
    exacts = units.select(
        "tenant_id", "source_id", "currency", "timezone", "tenant_line", "first_entity", "entity_of", "last", "base_id",
        "accepted_gross", "finals",
        payable_id.alias("payable_id"),
        is_open.alias("is_open"),
        F.col("first.received_at").alias("received_at"),
        F.coalesce(local, F.col("last.received_on")).alias("received_on"),
        *(column.alias(name) for name, column in header.items()),
        *(F.col(f"first.{name}").alias(name) for name in _OF_LINES),
        *(column.alias(f"exact_{name}") for name, column in exact.items()),
        F.col("rest_lines").cast(COUNT).alias("line_count"),
        F.coalesce("lines_agree", F.lit(True)).alias("lines_agree"),
        F.col("siblings").cast("int").alias("currencies"),
        F.when(finals, F.col("base_id")).alias("follows"),
    )  # fmt: skip
    return _with_amounts(exacts)


def _with_amounts(units: DataFrame) -> DataFrame:
    fitting = {name: F.col(f"exact_{name}").try_cast(AMOUNT) for name in AMOUNTS}
    fits = F.lit(True)
    decimals = F.lit(0)
    for name, fitted in fitting.items():
        exact = F.col(f"exact_{name}")
        fits = fits & F.coalesce(fitted.cast(QUANTITY) == exact, exact.isNull())
        needed = (
            F.when(exact.isNull() | (exact == F.round(exact, 0)), 0)
            .when(exact == F.round(exact, 2), 2)
            .when(exact == F.round(exact, 3), 3)
            .otherwise(MORE_DECIMALS)
        )
        decimals = F.greatest(decimals, needed)
    kept = {name: F.when(fitted.cast(QUANTITY) == F.col(f"exact_{name}"), fitted) for name, fitted in fitting.items()}
    country_served = F.coalesce(F.map_contains_key("entity_of", F.coalesce("country", F.lit(""))), F.lit(False))
    entity = F.coalesce(F.try_element_at("entity_of", F.coalesce("country", F.lit(""))), F.col("first_entity"))
    typed = units.select(
        *(
            name
            for name in units.columns
            if not name.startswith("exact_") and name not in ("business_line", "document_type")
        ),
        F.coalesce("business_line", "tenant_line").alias("business_line"),
        *(column.alias(name) for name, column in kept.items()),
        fits.alias("amounts_fit"),
        decimals.cast("int").alias("amount_decimals"),
        minor_units(F.col("currency")).cast("int").alias("minor_units"),
        country_served.alias("country_served"),
        entity.alias("legal_entity_id"),
        F.col("document_type").alias("stated_type"),
    )
    takes_back = F.col("gross_amount") < 0
    return typed.withColumn("document_type", F.when(takes_back, "credit_note").otherwise(F.col("stated_type"))).drop(
        "stated_type", "entity_of", "first_entity", "tenant_line", "timezone"
    )
