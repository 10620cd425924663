"""Prices from the Price List API, answered by botocore's stubber in the API's own shape."""

import json
from datetime import date
from decimal import Decimal
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from loadgen.costs.aws.client import Clients
from loadgen.costs.aws.price_list import products, refreshed, write_card
from loadgen.costs.cards import load_card

TODAY = date(2026, 11, 23)
CARD = load_card("aws")


def price_list(*prices: tuple[str, str]) -> str:
    """Return one product as the API writes it: a text of JSON."""
    dimensions = {
        f"d{i}": {"beginRange": begins, "pricePerUnit": {"USD": usd}}
        for i, (begins, usd) in enumerate(prices)
    }
    return json.dumps({"terms": {"OnDemand": {"t": {"priceDimensions": dimensions}}}})


@pytest.fixture
def stubbed() -> tuple[Stubber, Clients]:
    """Return a client of the real boto3 whose answers are put there, and the maker of it."""
    client = boto3.client(
        "pricing",
        "us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106
    )
    stubber = Stubber(client)
    stubber.activate()

    def made(service: str, region: str | None = None) -> Any:
        assert (service, region) == ("pricing", "us-east-1")
        return client

    return stubber, made


def answer(stubber: Stubber, *lists: str) -> None:
    """Put the next answer there."""
    expected = {"ServiceCode": ANY, "Filters": ANY}
    stubber.add_response("get_products", {"PriceList": list(lists)}, expected)


def test_a_region_s_prices_become_a_dated_card(
    stubbed: tuple[Stubber, Clients], tmp_path: Any
) -> None:
    """Each price in the card's unit, tiers by where they begin; the card can be read again."""
    stubber, clients = stubbed
    for product in products(CARD):
        if product.table == "s3_storage":
            answer(stubber, price_list(("0", "0.03"), ("51200", "0.029"), ("512000", "0.028")))
        elif product.table == "s3_requests":
            answer(stubber, price_list(("0", "0.000006")))
        else:
            answer(stubber, price_list(("0", "0.0420000000")))
    found = refreshed(CARD, clients, "eu-west-9", TODAY)
    assert found.missing == ()
    write_card(tmp_path / "cards", CARD, found.text)
    card = load_card("aws", tmp_path / "cards")
    price = card.price("s3_storage", "eu-west-9", "next_450_tb")
    assert price is not None
    assert (price.value, price.grade, price.source.as_of) == (Decimal("0.029"), "P", TODAY)
    requests = card.price("s3_requests", "eu-west-9", "put")
    assert requests is not None
    assert requests.value == Decimal("0.006")
    large = card.price("ec2_linux", "eu-west-9", "t3.small")
    assert large is not None
    assert large.value == Decimal("0.042")
    assert card.price("cost_explorer", "us-east-1", "request") is not None
    assert not card.warnings(TODAY)


def test_what_is_not_answered_stays_as_it_was(stubbed: tuple[Stubber, Clients]) -> None:
    """Two prices for one product, none at all, a refusal: each is said, and nothing is guessed."""
    stubber, clients = stubbed
    several = list(products(CARD))
    for i, product in enumerate(several):
        if product.table != "ebs":
            stubber.add_client_error("get_products", "AccessDeniedException", "no", 400)
        else:
            answer(stubber, price_list(("0", "1")), price_list(("0", "2")))
        assert i < len(several)
    found = refreshed(CARD, clients, "us-east-1", TODAY)
    assert found.read == 0
    assert len(found.missing) == len(several)
    assert any("has 2 prices for it" in said for said in found.missing)
    assert any("denied" in said for said in found.missing)
    assert "0.0208" in found.text
    assert "price_list" not in found.text
