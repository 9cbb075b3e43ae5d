"""What billing aggregation promises: every accepted unit of usage is charged once, at a price that is in force."""

from __future__ import annotations

from great_expectations import ExpectationSuite

from expectations.promises import Promise, no_rows, suite, unique

# a discount, what is above a maximum and a credit are less than nothing by their nature; a price on the record, and models that look at
# single records, may hold records taken back that outweigh the others in money and not in quantity
WITHOUT_A_REASON = "kind NOT IN ('discount', 'maximum', 'credit') AND model NOT IN ('price_on_record', 'percentage', 'percentage_events', 'matrix')"

# the sum of two DECIMAL(38,18) would lose its last digit
USED_IN_ALL = "CAST(used_before AS DECIMAL(37,18)) + CAST(used_now AS DECIMAL(37,18))"


def charges() -> ExpectationSuite:
    """Over staged billing.charges: one row per charge."""
    return suite(
        "billing_aggregation.charges",
        [
            *_billable(),
            no_rows(
                "only usage has a quantity",
                "(kind <> 'usage' AND usage_rows <> 0) OR (usage_rows = 0 AND quantity <> 0)",
                "charge_id",
                "A fee, a discount or a true-up with a quantity would count usage twice.",
            ),
            no_rows(
                "a converted charge says at which rate",
                "price_currency IS NOT NULL AND kind <> 'credit' AND (exchange_rate IS NULL OR rate_date IS NULL OR price_currency = currency)",
                "charge_id",
                "An amount in another currency than its price's can only be checked with the rate.",
            ),
            no_rows(
                "no negative total without a reason",
                f"amount < 0 AND quantity >= 0 AND {WITHOUT_A_REASON}",
                "charge_id",
                "Prices are not negative, so less than nothing needs usage taken back, a record that says so, or a discount.",
            ),
            no_rows(
                "few charges are negative",
                "amount < 0 AND kind NOT IN ('discount', 'maximum', 'credit')",
                "charge_id",
                "Credits are legal but rare; many at once point to a sign that was lost.",
                severity="warning",
            ),
        ],
    )


def adjustments() -> ExpectationSuite:
    """Over staged billing.adjustments: one row per charge of an earlier month that has changed."""
    return suite(
        "billing_aggregation.adjustments",
        [
            *_billable(),
            no_rows(
                "only an earlier month is adjusted",
                "coalesce(adjusts_period >= period, true)",
                "charge_id",
                "The month itself is not issued yet; its charges are simply made anew.",
            ),
            no_rows(
                "only usage has a quantity",
                "kind <> 'usage' AND (usage_rows <> 0 OR quantity <> 0)",
                "charge_id",
                "A fee, a discount or a true-up with a quantity would count usage twice.",
            ),
            no_rows(
                "an adjustment moves something",
                "quantity = 0 AND usage_rows = 0 AND amount = 0",
                "charge_id",
                "A line of nothing on an invoice asks a question that nobody can answer.",
            ),
        ],
    )


def _billable() -> list[Promise]:
    """What holds for whatever is billed."""
    return [
        unique(
            "a charge stands once",
            ("tenant_id", "period", "charge_id"),
            "charge_id",
            "A charge that stands twice is billed twice.",
        ),
        no_rows(
            "every charge has a price in force",
            "prices_in_force = 0",
            "concat('product ', product_id, ' in ', coalesce(currency, 'no currency'))",
            "An unpriced charge would be invoiced as nothing. A price in another currency counts where a policy and a rate of the day convert it.",
        ),
        no_rows(
            "no charge has two prices in force",
            "prices_in_force > 1",
            "concat('product ', product_id, ' in ', coalesce(currency, 'no currency'))",
            "Which of two overlapping prices holds is not for a program to guess.",
        ),
        no_rows(
            "every charge belongs to a known account",
            "currency IS NULL",
            "account_id",
            "Without an account there is nobody to send the invoice to.",
        ),
        no_rows(
            "every priced charge has an amount",
            "prices_in_force = 1 AND currency IS NOT NULL AND amount IS NULL",
            "charge_id",
            "A charge without an amount would be invoiced as nothing.",
        ),
    ]


def conservation() -> ExpectationSuite:
    """Over accepted beside charged usage: one row per tenant, month and product."""
    return suite(
        "billing_aggregation.conservation",
        [
            no_rows(
                "charged quantity = accepted usage",
                "accepted_quantity IS DISTINCT FROM charged_quantity",
                "concat(product_id, ' in ', date_format(period, 'yyyy-MM'))",
                "Usage would be lost or billed twice.",
            ),
            no_rows(
                "charged rows = accepted rows",
                "accepted_rows IS DISTINCT FROM charged_rows",
                "concat(product_id, ' in ', date_format(period, 'yyyy-MM'))",
                "Quantities that cancel out would hide a lost row.",
            ),
        ],
    )


def month_on_month() -> ExpectationSuite:
    """Over the amounts of each product beside those of the month before: one row per tenant, product and currency."""
    return suite(
        "billing_aggregation.month_on_month",
        [
            no_rows(
                "no product jumps from one month to the next",
                "is_outlier",
                "concat('product ', product_id, ' in ', currency)",
                "Usage may be missing, doubled or in another unit; or business has changed.",
                severity="warning",
            ),
        ],
    )


def credits() -> ExpectationSuite:
    """Over every credit that is used or given back, beside what was granted: one row per tenant and credit."""
    return suite(
        "billing_aggregation.credits",
        [
            no_rows(
                "credit used <= credit granted",
                f"used_now > 0 AND coalesce({USED_IN_ALL} > granted, true)",
                "credit_id",
                "A customer would be given more than was promised.",
            ),
            no_rows(
                "no more of a credit is given back than was used",
                f"{USED_IN_ALL} < 0",
                "credit_id",
                "A customer would be charged for a credit that was never used.",
            ),
            no_rows(
                "a credit is used for what it was given for",
                "outside > 0",
                "credit_id",
                "A credit of one customer, product or region would pay for another.",
            ),
            no_rows(
                "a credit brings no charge below nothing",
                "overdrawn > 0",
                "credit_id",
                "What was granted to be used up would be paid out.",
            ),
        ],
    )
