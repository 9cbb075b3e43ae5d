"""Every jurisdiction's main cases by the real conf/taxes/, in one batch: who is taxed how, at which rate, in which parts, or held why."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from jobs.ledger.taxes import Taxes, taxes
from tests.builders import charged, customer, entity, tenant
from tests.invoice_generation.taxed import Billed, documents, registered, vat_id

SELLERS: dict[str, dict[str, Any]] = {
    "DE": {"tax_policy": "eu-seller", "timezone": "Europe/Berlin"}, "GB": {"tax_policy": "gb-seller", "timezone": "Europe/London"},
    "CH": {"tax_policy": "ch-seller", "timezone": "Europe/Zurich"}, "NO": {"tax_policy": "no-seller", "timezone": "Europe/Oslo"},
    "IN": {"tax_policy": "in-seller", "timezone": "Asia/Kolkata", "tax_id": "27AAPFU0939F1ZV"},
    "JP": {"tax_policy": "jp-seller", "timezone": "Asia/Tokyo"}, "AU": {"tax_policy": "au-seller", "timezone": "Australia/Sydney"},
    "NZ": {"tax_policy": "nz-seller", "timezone": "Pacific/Auckland"}, "CA": {"tax_policy": "ca-seller", "timezone": "America/Toronto"},
    "US": {"tax_policy": "us-sales-tax", "timezone": "America/New_York"}, "SG": {"tax_policy": "sg-seller", "timezone": "Asia/Singapore"},
    "AE": {"tax_policy": "ae-seller", "timezone": "Asia/Dubai"}, "FR": {"tax_policy": "eu-seller", "timezone": "Europe/Paris"},
}  # fmt: skip


@dataclass
class Case:
    """One charge of 1000 and what has to come of it."""

    seller: str
    buyer: dict[str, Any]
    category: str | None  # None: held
    told: str  # components and rates in percent, as "GST 5 PST 7"; the reason code of what is held
    tax_class: str | None = None
    supply: str = "services"
    status: str | None = None  # what the registry says of the buyer's id
    checked_at: str = "2026-07-01T00:00:00"
    period: str = "2026-07-01"
    exempt: dict[str, Any] | None = None
    code: str | None = None
    policy: str | None = None
    entity: dict[str, Any] = field(default_factory=dict)
    rule: str | None = None  # that decides, without its policy


IT, ES, DE, FR = (vat_id(country) for country in ("IT", "ES", "DE", "FR"))
GB, NORTHERN = "GB980780684", "XI110305878"  # the second of Northern Ireland, for goods
KARNATAKA = "29AABCT1332L1ZA"
SMALL = {
    "below_threshold_until": "2026-07-01"
}  # with June it taxes consumers elsewhere in the Union at home for the last time
IN_FRANCE = {"tax_ids": {"FR": FR}}
CASES = {
    "eu_at_home": Case("DE", {"country": "DE"}, "S", "VAT 19"),
    "eu_reduced": Case("DE", {"country": "DE"}, "S", "VAT 7", tax_class="reduced"),
    "eu_a_class_that_a_country_does_not_have": Case("DE", {"country": "DK"}, "S", "VAT 25", tax_class="reduced"),
    "eu_reverse_charge": Case("DE", {"country": "IT", "tax_id": IT}, "AE", "VAT 0", status="valid", code="VATEX-EU-AE"),
    "eu_an_id_without_its_prefix": Case("DE", {"country": "IT", "tax_id": IT[2:]}, "AE", "VAT 0", status="valid"),
    "eu_goods": Case("DE", {"country": "IT", "tax_id": IT}, "K", "VAT 0", supply="goods", status="valid", code="VATEX-EU-IC"),
    "eu_consumer": Case("DE", {"country": "IT"}, "S", "VAT 22"),
    "eu_wrong_form": Case("DE", {"country": "IT", "tax_id": "IT00743110158"}, "S", "VAT 22"),
    "eu_unregistered": Case("DE", {"country": "IT", "tax_id": IT}, "S", "VAT 22", status="invalid"),
    "eu_in_check": Case("DE", {"country": "IT", "tax_id": IT}, None, "id_in_check", status="in_check"),
    "eu_never_checked": Case("DE", {"country": "IT", "tax_id": IT}, None, "id_unknown"),
    "eu_checked_too_long_ago": Case(
        "DE", {"country": "IT", "tax_id": IT}, None, "id_unknown", status="valid", checked_at="2025-07-30T00:00:00"
    ),
    "eu_checked_after_the_month": Case(
        "DE", {"country": "IT", "tax_id": IT}, None, "id_unknown", status="valid", checked_at="2026-08-01T00:00:00"
    ),
    "eu_a_private_person_with_an_id_in_check": Case(
        "DE", {"country": "IT", "tax_id": IT, "is_business": False}, "S", "VAT 22", status="in_check"
    ),
    "eu_in_check_at_home": Case("DE", {"country": "DE", "tax_id": vat_id("DE")}, "S", "VAT 19", status="in_check"),
    "eu_export": Case("DE", {"country": "US"}, "G", "VAT 0", code="VATEX-EU-G"),
    "eu_exempt": Case("DE", {"country": "DE"}, "E", "VAT 0", tax_class="exempt", code="VATEX-EU-132"),
    "eu_zero": Case("DE", {"country": "IE"}, "Z", "VAT 0", tax_class="zero"),
    "eu_outside_the_scope": Case("DE", {"country": "DE"}, "O", "VAT 0", tax_class="outside", code="VATEX-EU-O"),
    "eu_embassy": Case("DE", {"country": "BE"}, "E", "VAT 0", exempt={"jurisdiction": "BE"}, code="VATEX-EU-151"),
    "eu_a_certificate_of_another_country": Case("DE", {"country": "BE"}, "S", "VAT 21", exempt={"jurisdiction": "FR"}),
    "eu_a_certificate_that_has_ended": Case("DE", {"country": "BE"}, "S", "VAT 21", exempt={"valid_to": "2026-07-31"}),
    "eu_northern_ireland_services": Case("DE", {"country": "GB", "postal_code": "BT7 1NN"}, "G", "VAT 0"),
    "eu_estonia_before": Case("DE", {"country": "EE"}, "S", "VAT 22", period="2025-06-01"),
    "eu_estonia_after": Case("DE", {"country": "EE"}, "S", "VAT 24", period="2025-07-01"),
    "eu_before_its_table": Case("DE", {"country": "DE"}, None, "no_rate", period="2009-12-01"),
    "eu_half_of_2020": Case("DE", {"country": "DE"}, "S", "VAT 16", period="2020-07-01"),
    "eu_half_of_2020_reduced": Case("DE", {"country": "DE"}, "S", "VAT 5", tax_class="reduced", period="2020-12-01"),
    "eu_before_that_half": Case("DE", {"country": "DE"}, "S", "VAT 19", period="2020-06-01"),
    "eu_ireland_in_winter": Case("DE", {"country": "IE"}, "S", "VAT 21", period="2021-02-01"),
    "eu_ireland_in_spring": Case("DE", {"country": "IE"}, "S", "VAT 23", period="2021-03-01"),
    "eu_a_class_before_it_had_a_rate": Case("FR", {"country": "FR"}, "S", "VAT 5.5", tax_class="reduced", period="2011-12-01"),
    "eu_a_class_whose_rate_was_merged": Case("DE", {"country": "RO"}, "S", "VAT 11", tax_class="reduced_2"),
    "eu_country_unknown": Case("DE", {"country": None}, "S", "VAT 19"),
    "eu_san_marino": Case("DE", {"country": "SM"}, "G", "VAT 0"),
    "eu_vatican": Case("DE", {"country": "VA"}, "G", "VAT 0"),
    "eu_andorra": Case("DE", {"country": "AD", "tax_id": "L-709604-E"}, "G", "VAT 0"),
    "eu_liechtenstein": Case("DE", {"country": "LI"}, "G", "VAT 0"),
    "eu_faroe_islands": Case("DE", {"country": "FO"}, "G", "VAT 0"),
    "eu_greenland_by_post_code": Case("DE", {"country": "DK", "postal_code": "3900"}, "G", "VAT 0"),
    "eu_denmark_beside_it": Case("DE", {"country": "DK", "postal_code": "3800"}, "S", "VAT 25"),
    "eu_guernsey": Case("DE", {"country": "GG"}, "G", "VAT 0"),
    "eu_isle_of_man": Case("DE", {"country": "IM"}, "G", "VAT 0"),
    "eu_isle_of_man_in_2020": Case("DE", {"country": "IM"}, "S", "VAT 20", period="2020-12-01"),
    "eu_jersey_in_2020": Case("DE", {"country": "GB", "postal_code": "JE2 3QA"}, "G", "VAT 0", period="2020-12-01"),
    "eu_akrotiri": Case("DE", {"country": "GB", "postal_code": "BFPO 57"}, "S", "VAT 19"),
    "eu_dhekelia": Case("DE", {"country": "GB", "postal_code": "BF1 2AU"}, "S", "VAT 19", entity={"country": "FR"}),
    "eu_forces_elsewhere": Case("DE", {"country": "GB", "postal_code": "BFPO 5300"}, "G", "VAT 0"),
    "eu_saint_martin": Case("FR", {"country": "FR", "postal_code": "97801"}, "G", "VAT 0"),
    "eu_saint_barthelemy": Case("FR", {"country": "FR", "postal_code": "97700"}, "G", "VAT 0"),
    "eu_beside_campione": Case("DE", {"country": "IT", "postal_code": "22060"}, "S", "VAT 22"),
    "eu_azores_in_2015": Case("DE", {"country": "PT", "postal_code": "9500"}, "S", "VAT 18", period="2015-01-01"),
    "eu_azores_business": Case("DE", {"country": "PT", "postal_code": "9500", "tax_id": vat_id("PT")}, "AE", "VAT 0", status="valid"),
    "eu_azores_goods": Case("DE", {"country": "PT", "postal_code": "9500", "tax_id": vat_id("PT")}, "K", "VAT 0", supply="goods", status="valid"),
    "eu_id_of_another_state": Case("DE", {"country": "IT", "tax_id": ES}, "AE", "VAT 0", status="valid"),
    "eu_goods_by_id_of_another_state": Case("DE", {"country": "IT", "tax_id": ES}, "K", "VAT 0", supply="goods", status="valid"),
    "eu_id_of_the_sellers_state": Case("DE", {"country": "IT", "tax_id": DE}, "S", "VAT 19", status="valid", rule="business-of-the-sellers-country"),
    "eu_goods_by_id_of_the_sellers_state": Case("DE", {"country": "IT", "tax_id": DE}, "S", "VAT 19", supply="goods", status="valid"),
    "eu_id_of_the_sellers_state_not_checked": Case("DE", {"country": "IT", "tax_id": DE}, None, "id_unknown"),
    "eu_goods_in_check": Case("DE", {"country": "IT", "tax_id": IT}, None, "id_in_check", supply="goods", status="in_check"),
    "eu_goods_at_home": Case("DE", {"country": "DE", "tax_id": DE}, "S", "VAT 19", supply="goods", status="valid"),
    "eu_goods_for_a_consumer": Case("DE", {"country": "FR"}, "S", "VAT 20", supply="goods"),
    "eu_goods_export": Case("DE", {"country": "CH"}, "G", "VAT 0", supply="goods", code="VATEX-EU-G"),
    "eu_exempt_across": Case("DE", {"country": "IT", "tax_id": IT}, "E", "VAT 0", tax_class="exempt", status="valid", code="VATEX-EU-132"),
    "eu_below_the_threshold": Case("DE", {"country": "FR"}, "S", "VAT 19", period="2026-06-01", entity=SMALL, rule="below-the-threshold"),
    "eu_goods_below_the_threshold": Case("DE", {"country": "FR"}, "S", "VAT 19", supply="goods", period="2026-06-01", entity=SMALL),
    "eu_above_the_threshold": Case("DE", {"country": "FR"}, "S", "VAT 20", entity=SMALL, rule="destination"),
    "eu_a_business_below_the_threshold": Case("DE", {"country": "IT", "tax_id": IT}, "AE", "VAT 0", status="valid", period="2026-06-01", entity=SMALL),
    "eu_below_the_threshold_in_the_azores": Case("DE", {"country": "PT", "postal_code": "9500"}, "S", "VAT 19", period="2026-06-01", entity=SMALL),
    "eu_services_below_the_threshold_in_2019": Case("DE", {"country": "FR"}, "S", "VAT 19", period="2019-01-01", entity=SMALL),
    "eu_services_before_the_threshold": Case("DE", {"country": "FR"}, "S", "VAT 20", period="2018-12-01", entity=SMALL),
    "eu_services_from_2015": Case("DE", {"country": "LU"}, "S", "VAT 17", period="2015-01-01", rule="destination-before-the-one-stop-shop"),
    "eu_services_to_2014": Case("DE", {"country": "LU"}, "S", "VAT 19", period="2014-12-01", rule="services-at-home"),
    "eu_goods_to_2021": Case("DE", {"country": "FR"}, "S", "VAT 19", supply="goods", period="2021-06-01", rule="goods-at-home"),
    "eu_goods_to_2021_where_registered": Case("DE", {"country": "FR"}, "S", "VAT 20", supply="goods", period="2021-06-01", entity=IN_FRANCE),
    "eu_goods_after_2021": Case("DE", {"country": "FR"}, "S", "VAT 20", supply="goods", period="2021-07-01", rule="destination"),
    "eu_croatia_before": Case("DE", {"country": "HR"}, "G", "VAT 0", period="2013-06-01"),
    "eu_croatia_after": Case("DE", {"country": "HR", "tax_id": vat_id("HR")}, "AE", "VAT 0", status="valid", period="2013-07-01"),
    "eu_croatia_goods": Case("DE", {"country": "HR", "tax_id": vat_id("HR")}, "K", "VAT 0", supply="goods", status="valid", period="2013-07-01"),
    "eu_britain_in_2020": Case("DE", {"country": "GB"}, "S", "VAT 20", period="2020-12-01"),
    "eu_britain_in_2021": Case("DE", {"country": "GB"}, "G", "VAT 0", period="2021-01-01"),
    "eu_british_business_in_2020": Case("DE", {"country": "GB", "tax_id": GB}, "AE", "VAT 0", status="valid", period="2020-12-01"),
    "eu_british_goods_in_2020": Case("DE", {"country": "GB", "tax_id": GB}, "K", "VAT 0", supply="goods", status="valid", period="2020-12-01"),
    "eu_british_business_in_check_in_2020": Case("DE", {"country": "GB", "tax_id": GB}, None, "id_in_check", status="in_check", period="2020-12-01"),
    "eu_british_business_in_2021": Case("DE", {"country": "GB", "tax_id": GB}, "G", "VAT 0", status="valid", period="2021-01-01"),
    "eu_northern_ireland_goods": Case("DE", {"country": "GB", "postal_code": "BT7 1NN", "tax_id": NORTHERN}, "K", "VAT 0", supply="goods", status="valid"),
    "eu_northern_ireland_goods_by_a_british_id": Case("DE", {"country": "GB", "postal_code": "BT7 1NN", "tax_id": GB}, "S", "VAT 20", supply="goods", status="valid"),
    "eu_northern_ireland_consumer": Case("DE", {"country": "XI"}, "S", "VAT 20", supply="goods"),
    "fr_in_reunion": Case("FR", {"country": "RE"}, "S", "VAT 8.5"),
    "fr_goods_sent_to_reunion": Case("FR", {"country": "FR", "postal_code": "97400"}, "G", "VAT 0", supply="goods"),
    "de_to_reunion": Case("DE", {"country": "RE"}, "G", "VAT 0"),
    "gb_at_home": Case("GB", {"country": "GB"}, "S", "VAT 20"),
    "gb_isle_of_man": Case("GB", {"country": "IM"}, "S", "VAT 20"),
    "gb_jersey": Case("GB", {"country": "JE"}, "G", "VAT 0"),
    "gb_reduced": Case("GB", {"country": "GB"}, "S", "VAT 5", tax_class="reduced"),
    "gb_zero": Case("GB", {"country": "GB"}, "Z", "VAT 0", tax_class="zero"),
    "gb_export": Case("GB", {"country": "DE", "tax_id": DE}, "G", "VAT 0", rule="export"),
    "gb_country_unknown": Case("GB", {"country": None}, "S", "VAT 20"),
    "gb_in_2010": Case("GB", {"country": "GB"}, "S", "VAT 17.5", period="2010-12-01"),
    "gb_in_2011": Case("GB", {"country": "GB"}, "S", "VAT 20", period="2011-01-01"),
    "gb_within_the_union": Case("GB", {"country": "DE", "tax_id": DE}, "AE", "VAT 0", status="valid", period="2020-12-01", code="VATEX-EU-AE"),
    "gb_goods_within_the_union": Case("GB", {"country": "DE", "tax_id": DE}, "K", "VAT 0", supply="goods", status="valid", period="2020-12-01", code="VATEX-EU-IC"),
    "gb_within_the_union_in_check": Case("GB", {"country": "DE", "tax_id": DE}, None, "id_in_check", status="in_check", period="2020-12-01"),
    "gb_within_the_union_not_checked": Case("GB", {"country": "DE", "tax_id": DE}, None, "id_unknown", period="2020-12-01"),
    "gb_after_the_union_in_check": Case("GB", {"country": "DE", "tax_id": DE}, "G", "VAT 0", status="in_check", period="2021-01-01"),
    "gb_own_id_within_the_union": Case("GB", {"country": "GB", "tax_id": GB}, "S", "VAT 20", status="valid", period="2020-12-01", rule="domestic"),
    "gb_consumer_to_2014": Case("GB", {"country": "DE"}, "S", "VAT 20", period="2014-12-01", rule="at-home-in-the-union"),
    "gb_consumer_from_2015": Case("GB", {"country": "DE"}, "S", "VAT 19", period="2015-01-01"),
    "gb_consumer_below_the_threshold": Case("GB", {"country": "DE"}, "S", "VAT 20", period="2019-01-01", entity=SMALL),
    "gb_consumer_of_goods": Case("GB", {"country": "FR"}, "S", "VAT 20", supply="goods", period="2020-12-01", rule="at-home-in-the-union"),
    "gb_consumer_of_goods_where_registered": Case("GB", {"country": "FR"}, "S", "VAT 19.6", supply="goods", period="2012-12-01", entity=IN_FRANCE),
    "gb_somewhere_in_the_union": Case("GB", {"country": "EU"}, "S", "VAT 20", period="2011-03-01", rule="at-home-in-the-union"),
    "gb_out_of_the_union": Case("GB", {"country": "US"}, "G", "VAT 0", period="2020-12-01", rule="export-from-the-union"),
    "gb_jersey_in_2020": Case("GB", {"country": "JE"}, "G", "VAT 0", period="2020-12-01"),
    "gb_isle_of_man_in_2020": Case("GB", {"country": "IM"}, "S", "VAT 20", period="2020-12-01", rule="domestic"),
    "gb_canary_islands_in_2020": Case("GB", {"country": "ES", "postal_code": "35001"}, "G", "VAT 0", period="2020-12-01"),
    "gb_northern_ireland": Case("GB", {"country": "GB", "postal_code": "BT7 1NN"}, "S", "VAT 20", supply="goods"),
    "ch_standard": Case("CH", {"country": "CH"}, "S", "VAT 8.1"),
    "ch_reduced": Case("CH", {"country": "CH"}, "S", "VAT 2.6", tax_class="reduced"),
    "ch_lodging": Case("CH", {"country": "CH"}, "S", "VAT 3.8", tax_class="reduced_2"),
    "ch_in_2023": Case("CH", {"country": "CH"}, "S", "VAT 7.7", period="2023-12-01"),
    "ch_in_2017": Case("CH", {"country": "CH"}, "S", "VAT 8", period="2017-12-01"),
    "ch_food_in_2010": Case("CH", {"country": "CH"}, "S", "VAT 2.4", tax_class="reduced", period="2010-12-01"),
    "ch_lodging_in_2018": Case("CH", {"country": "CH"}, "S", "VAT 3.7", tax_class="reduced_2", period="2018-01-01"),
    "ch_country_unknown": Case("CH", {"country": None}, "S", "VAT 8.1"),
    "ch_liechtenstein": Case("CH", {"country": "LI"}, "S", "VAT 8.1"),
    "ch_buesingen": Case("CH", {"country": "DE", "postal_code": "78266"}, "S", "VAT 8.1"),
    "ch_export": Case("CH", {"country": "DE"}, "G", "VAT 0"),
    "no_standard": Case("NO", {"country": "NO"}, "S", "VAT 25"),
    "no_food": Case("NO", {"country": "NO"}, "S", "VAT 15", tax_class="reduced"),
    "no_food_in_2011": Case("NO", {"country": "NO"}, "S", "VAT 14", tax_class="reduced", period="2011-12-01"),
    "no_transport": Case("NO", {"country": "NO"}, "S", "VAT 12", tax_class="reduced_2"),
    "no_transport_in_2015": Case("NO", {"country": "NO"}, "S", "VAT 8", tax_class="reduced_2", period="2015-12-01"),
    "no_transport_in_2016": Case("NO", {"country": "NO"}, "S", "VAT 10", tax_class="reduced_2", period="2016-01-01"),
    "no_transport_in_2020": Case("NO", {"country": "NO"}, "S", "VAT 6", tax_class="reduced_2", period="2020-04-01"),
    "no_jan_mayen": Case("NO", {"country": "NO", "postal_code": "8099"}, "G", "VAT 0"),
    "no_svalbard_by_its_code": Case("NO", {"country": "SJ"}, "G", "VAT 0"),
    "no_svalbard": Case("NO", {"country": "NO", "postal_code": "9170"}, "G", "VAT 0"),
    "in_by_gstin_and_not_by_address": Case("IN", {"country": "IN", "region": "Karnataka", "tax_id": "27AAACR4849R1ZL"}, "S", "CGST 9 SGST 9"),
    "in_across": Case("IN", {"country": "IN", "region": "Maharashtra", "tax_id": KARNATAKA}, "S", "IGST 18"),
    "in_a_consumer_by_state": Case("IN", {"country": "IN", "region": "IN-MH"}, "S", "CGST 9 SGST 9"),
    "in_a_state_by_name": Case("IN", {"country": "IN", "region": "Tamil Nadu"}, "S", "IGST 18"),
    "in_a_gstin_of_wrong_form": Case("IN", {"country": "IN", "region": "MH", "tax_id": "29AABCT1332L1ZZ"}, "S", "CGST 9 SGST 9"),
    "in_nowhere": Case("IN", {"country": "IN"}, None, "unknown_place_of_supply"),
    "in_chandigarh": Case("IN", {"country": "IN", "region": "CH"}, "S", "CGST 9 UTGST 9", entity={"tax_id": "04AAPFU0939F1Z3"}),
    "in_the_old_slab": Case("IN", {"country": "IN", "region": "MH"}, "S", "CGST 6 SGST 6", tax_class="reduced_2", period="2025-08-01"),
    "in_the_old_slab_has_ended": Case("IN", {"country": "IN", "region": "MH"}, "S", "CGST 9 SGST 9", tax_class="reduced_2"),
    "in_the_old_luxury": Case("IN", {"country": "IN", "region": "TN"}, "S", "IGST 28", tax_class="luxury", period="2025-08-01"),
    "in_luxury": Case("IN", {"country": "IN", "region": "TN"}, "S", "IGST 40", tax_class="luxury"),
    "in_before_gst": Case("IN", {"country": "IN", "region": "MH"}, None, "no_rule", period="2017-06-01"),
    "in_islands_by_name": Case("IN", {"country": "IN", "region": "Andaman and Nicobar Islands"}, "S", "CGST 9 UTGST 9", entity={"tax_id": "35AAPFU0939F1ZY"}),
    "in_export": Case("IN", {"country": "US"}, "G", "GST 0"),
    "jp_standard": Case("JP", {"country": "JP"}, "S", "Consumption tax 10"),
    "jp_food": Case("JP", {"country": "JP"}, "S", "Consumption tax 8", tax_class="reduced"),
    "jp_in_2014": Case("JP", {"country": "JP"}, "S", "Consumption tax 5", period="2014-03-01"),
    "jp_in_2019": Case("JP", {"country": "JP"}, "S", "Consumption tax 8", tax_class="reduced", period="2019-09-01"),
    "jp_country_unknown": Case("JP", {"country": None}, "S", "Consumption tax 10"),
    "jp_export": Case("JP", {"country": "US"}, "G", "Consumption tax 0"),
    "au": Case("AU", {"country": "AU"}, "S", "GST 10"),
    "au_gst_free": Case("AU", {"country": "AU"}, "Z", "GST 0", tax_class="zero"),
    "au_norfolk_island": Case("AU", {"country": "AU", "postal_code": "2899"}, "G", "GST 0"),
    "nz": Case("NZ", {"country": "NZ"}, "S", "GST 15"),
    "nz_in_2010": Case("NZ", {"country": "NZ"}, "S", "GST 12.5", period="2010-09-01"),
    "nz_from_october": Case("NZ", {"country": "NZ"}, "S", "GST 15", period="2010-10-01"),
    "nz_export": Case("NZ", {"country": "AU"}, "G", "GST 0"),
    "ca_ontario": Case("CA", {"country": "CA", "region": "ON"}, "S", "HST 13"),
    "ca_nova_scotia_before": Case("CA", {"country": "CA", "region": "NS"}, "S", "HST 15", period="2025-03-01"),
    "ca_nova_scotia": Case("CA", {"country": "CA", "region": "Nova Scotia"}, "S", "HST 14"),
    "ca_british_columbia": Case("CA", {"country": "CA", "region": "CA-BC"}, "S", "GST 5 PST 7"),
    "ca_quebec": Case("CA", {"country": "CA", "region": "Québec"}, "S", "GST 5 QST 9.975"),
    "ca_alberta": Case("CA", {"country": "CA", "region": "AB"}, "S", "GST 5"),
    "ca_ontario_in_june_2010": Case("CA", {"country": "CA", "region": "ON"}, "S", "GST 5 RST 8", period="2010-06-01"),
    "ca_british_columbia_with_hst": Case("CA", {"country": "CA", "region": "BC"}, "S", "HST 12", period="2013-03-01"),
    "ca_british_columbia_again": Case("CA", {"country": "CA", "region": "BC"}, "S", "GST 5 PST 7", period="2013-04-01"),
    "ca_new_brunswick_in_2016": Case("CA", {"country": "CA", "region": "NB"}, "S", "HST 13", period="2016-06-01"),
    "ca_newfoundland_by_its_old_code": Case("CA", {"country": "CA", "region": "NF"}, "S", "HST 15"),
    "ca_prince_edward_island_in_2012": Case("CA", {"country": "CA", "region": "PE"}, "S", "GST 5 PST 10.5", period="2012-12-01"),
    "ca_prince_edward_island_in_2016": Case("CA", {"country": "CA", "region": "PE"}, "S", "HST 14", period="2016-09-01"),
    "ca_nova_scotia_in_2010": Case("CA", {"country": "CA", "region": "NS"}, "S", "HST 13", period="2010-06-01"),
    "ca_manitoba_in_2019": Case("CA", {"country": "CA", "region": "MB"}, "S", "GST 5 RST 8", period="2019-06-01"),
    "ca_saskatchewan_in_2017": Case("CA", {"country": "CA", "region": "SK"}, "S", "GST 5 PST 5", period="2017-02-01"),
    "ca_quebec_in_2011": Case("CA", {"country": "CA", "region": "QC"}, "S", "GST 5 QST 8.925", period="2011-12-01"),
    "ca_not_taxed_by_the_province_but_hst": Case("CA", {"country": "CA", "region": "BC"}, "S", "HST 12", tax_class="federal_only", period="2012-07-01"),
    "ca_not_taxed_by_the_province": Case("CA", {"country": "CA", "region": "BC"}, "S", "GST 5", tax_class="federal_only"),
    "ca_unknown_province": Case("CA", {"country": "CA", "region": "Bavaria"}, None, "unknown_province"),
    "us": Case("US", {"country": "US", "tax_jurisdiction": "06-037"}, "S", "county 0.25 state 7.25"),
    "us_before_a_change": Case("US", {"country": "US", "tax_jurisdiction": "06-037"}, "S", "county 0.25 state 7", period="2026-03-01"),
    "us_a_class_of_its_own": Case("US", {"country": "US", "tax_jurisdiction": "06-037"}, "S", "state 1", tax_class="groceries"),
    "us_unknown_jurisdiction": Case("US", {"country": "US", "tax_jurisdiction": "99-999"}, None, "unknown_jurisdiction"),
    "us_no_jurisdiction": Case("US", {"country": "US"}, None, "unknown_jurisdiction"),
    "us_withdrawn": Case("US", {"country": "US", "tax_jurisdiction": "36-061"}, None, "unknown_jurisdiction"),
    "us_exempt": Case("US", {"country": "US", "tax_jurisdiction": "06-037"}, "E", "Sales tax 0", exempt={"jurisdiction": "06-037"}),
    "us_exempt_elsewhere": Case("US", {"country": "US", "tax_jurisdiction": "06-037"}, "S", "county 0.25 state 7.25", exempt={"jurisdiction": "48"}),
    "us_exempt_from_suspension": Case(
        "US", {"country": "US", "tax_jurisdiction": "06-037"}, "S", "county 0.25 state 7.25", exempt={"kind": "dunning"}
    ),
    "us_export": Case("US", {"country": "CA"}, "O", "Sales tax 0"),
    "us_a_state_without": Case("US", {"country": "US", "tax_jurisdiction": "41"}, "Z", "state 0"),
    "us_settled_elsewhere": Case("US", {"country": "US"}, "O", "Sales tax 0", policy="us-seller"),
    "sg": Case("SG", {"country": "SG"}, "S", "GST 9"),
    "sg_in_2023": Case("SG", {"country": "SG"}, "S", "GST 8", period="2023-12-01"),
    "sg_in_2022": Case("SG", {"country": "SG"}, "S", "GST 7", period="2022-12-01"),
    "sg_country_unknown": Case("SG", {"country": None}, "S", "GST 9"),
    "sg_export": Case("SG", {"country": "JP"}, "G", "GST 0"),
    "ae": Case("AE", {"country": "AE"}, "S", "VAT 5"),
    "ae_before_vat": Case("AE", {"country": "AE"}, None, "no_rule", period="2017-12-01"),
    "ae_zero": Case("AE", {"country": "AE"}, "Z", "VAT 0", tax_class="zero"),
    "ae_export": Case("AE", {"country": "SA"}, "G", "VAT 0"),
}  # fmt: skip


def fed(**more: Any) -> dict[str, Any]:
    """A row of raw.tax_rates."""
    return {
        "tax_class": "standard",
        "valid_from": "2020-01-01",
        "revision": 0,
        "withdrawn": False,
        "landing_id": "l-8",
        "row_number": 1,
    } | more


RATES = [
    fed(jurisdiction="06-037", component="state", rate="0.07"),
    fed(jurisdiction="06-037", component="state", rate="0.0725", valid_from="2026-04-01"),  # ends the one before it
    fed(jurisdiction="06-037", component="county", rate="0.5"),
    fed(jurisdiction="06-037", component="county", rate="0.0025", revision=1),
    fed(jurisdiction="06-037", component="state", rate="0.01", tax_class="groceries"),
    fed(jurisdiction="41", component="state", rate="0"),
    fed(jurisdiction="36-061", component="state", rate="0.04"),
    fed(jurisdiction="36-061", component="state", rate="0.04", revision=1, withdrawn=True),
]


def conf_of(products: dict[str, Any]) -> Taxes:
    told = taxes()
    return Taxes.model_validate(
        {"policies": told.policies, "tables": told.tables, "territories": told.territories, "products": products}
    )


@pytest.fixture(scope="module")
def answers(spark):
    """Case -> its line and its taxes."""
    charges, buyers, checks, exempt, fed_rates, tenants, products = [], [], [], [], [], [], {}
    for number, (name, case) in enumerate(CASES.items()):
        told = {"tenant_id": f"t{number}", "account_id": "a-1"}
        house = {
            "country": case.seller,
            **SELLERS[case.seller],
            **({"tax_policy": case.policy} if case.policy else {}),
            **case.entity,
        }
        tenants.append(tenant(f"t{number}", [entity(f"t{number}-s", **house)]))
        buyers.append(customer(**case.buyer) | told)
        charges.append(charged("1000", charge_id=name, period=case.period) | told)
        if case.status:
            checks.append(
                registered(case.buyer["tax_id"], case.buyer["country"], case.status, case.checked_at, tenant_id=f"t{number}")
            )
        if case.exempt is not None:
            exempt.append({"kind": "tax", "valid_from": "2025-01-01", "jurisdiction": "*"} | case.exempt | told)
        fed_rates += [row | {"tenant_id": f"t{number}"} for row in RATES] if name.startswith("us_") or name == "us" else []
        since = {"valid_from": "2000-01-01", "source": "test"}
        products[f"t{number}"] = {
            "products": [{"product": "storage", "tax_class": case.tax_class or "standard", "supply": case.supply} | since]
        }
    found = documents(spark, Billed(charges, buyers, checks, exempt, fed_rates), tenants, conf_of(products))
    lines = {row["charge_id"]: row for row in found.every.collect()}
    taxed: dict[str, list[Any]] = {}
    by_document = {row["invoice_id"]: row["charge_id"] for row in lines.values()}
    for row in found.taxes.collect():
        taxed.setdefault(by_document[row["invoice_id"]], []).append(row)
    return lines, taxed


@pytest.mark.parametrize("name", CASES)
def test_a_line_is_taxed_as_its_jurisdiction_says(answers, name):
    case, (lines, taxed) = CASES[name], answers
    line = lines[name]
    if case.category is None:
        assert (line["hold_code"], line["tax_rate"], line["line_taxes"], name in taxed) == (case.told, None, None, False)
        assert line["hold_reason"]
        return
    parts = " ".join(f"{part['component']} {(part['rate'] * 100).normalize():f}" for part in line["line_taxes"])
    assert (line["tax_category"], parts, line["hold_code"]) == (case.category, case.told, None)
    assert line["tax_rate"] == sum(part["rate"] for part in line["line_taxes"])
    assert line["tax_reason"] and "{" not in line["tax_reason"]
    policy, _, rule = line["tax_rule"].partition("/")
    assert (policy, rule) == (case.policy or SELLERS[case.seller]["tax_policy"], case.rule or rule)
    for tax, part in zip(sorted(taxed[name], key=lambda row: row["tax_component"]), line["line_taxes"], strict=True):
        assert (tax["tax_component"], tax["tax_rate"], tax["tax_amount"]) == (
            part["component"],
            part["rate"],
            part["amount"],
        )
        assert tax["tax_amount"] == Decimal(1000) * part["rate"]
        assert tax["exemption_code"] == case.code or case.code is None
        assert (tax["exemption_reason"] is not None) == (case.category not in ("S", "Z"))


def test_reasons_name_no_one(answers):
    lines, _ = answers
    personal = {value for case in CASES.values() for key, value in case.buyer.items() if key in ("tax_id", "postal_code")}
    for line in lines.values():
        told = f"{line['tax_reason']} {line['hold_reason']}"
        assert not [value for value in personal if value in told]
