"""Prices come from the packaged list; what the list lacks is refused by name."""

import pytest

from headroom.errors import BadInputError
from headroom.settings_services import Storage
from infra.prices import list_prices


def test_a_machine_costs_what_the_list_says() -> None:
    assert list_prices().hot_usd_per_hour("n2-standard-4", "us-central1") == 0.194236
    assert list_prices().machine_type("n2-standard-8").vcpu == 8
    assert list_prices().machine_type("n2-standard-8").memory_gib == 32


def test_a_suspended_machine_costs_its_memory_as_ssd() -> None:
    assert list_prices().warm_usd_per_hour("n2-standard-8", "us-central1") == pytest.approx(32 * 0.17 / 730)


def test_disks_are_priced_per_gib_and_hour() -> None:
    assert list_prices().disk_usd_per_gib_hour(Storage(), "us-central1") == pytest.approx(0.1 / 730)
    twice = list_prices().disk_usd_per_gib_hour(Storage(kind="regional-disk"), "us-central1")
    assert twice == pytest.approx(0.2 / 730)


def test_an_unknown_machine_type_is_refused_with_a_close_name() -> None:
    with pytest.raises(BadInputError, match="'n2-standrd-8' is not in the price list; did you mean n2-standard-8"):
        list_prices().machine_type("n2-standrd-8")


def test_a_region_without_a_price_is_refused_with_those_that_have_one() -> None:
    with pytest.raises(BadInputError, match=r"n2-standard-8 has no on-demand price in region 'mars-west1'; it has one in .*us-central1"):
        list_prices().hot_usd_per_hour("n2-standard-8", "mars-west1")
    with pytest.raises(BadInputError, match="f1-micro has no on-demand price"):
        list_prices().hot_usd_per_hour("f1-micro", "africa-south1")


def test_an_unknown_disk_type_is_refused() -> None:
    with pytest.raises(BadInputError, match="disk type 'floppy' is not in the price list; known: pd-standard"):
        list_prices().disk_usd_per_gib_hour(Storage(type="floppy"), "us-central1")
    with pytest.raises(BadInputError, match="no price in region 'mars-west1'"):
        list_prices().disk_usd_per_gib_hour(Storage(), "mars-west1")
