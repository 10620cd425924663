"""The clouds that are asked for a run's costs: Snowflake and AWS, as far as they are set up."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

from loadgen.config.settings import Settings
from loadgen.costs.aws.costs import AwsCosts
from loadgen.costs.cards import RateCard
from loadgen.costs.lines import CostSource, Unavailable
from loadgen.costs.snowflake.costs import SnowflakeCostTracker
from loadgen.costs.snowflake.usage import UsageConnection
from loadgen.tools.tools_file import Tool


@contextmanager
def cloud_sources(
    tools: Sequence[Tool], settings: Settings, cards: Mapping[str, RateCard], now: datetime
) -> Iterator[tuple[SnowflakeCostTracker, CostSource]]:
    """Yield Snowflake and AWS, ready to be asked; nothing is connected before that."""
    connection = UsageConnection(settings)
    snowflake = SnowflakeCostTracker(tools, settings, _card(cards, "snowflake"), connection, now)
    try:
        yield snowflake, AwsCosts([tool.name for tool in tools], settings, _card(cards, "aws"), now)
    finally:
        connection.close()


def _card(cards: Mapping[str, RateCard], name: str) -> RateCard | Unavailable:
    found = cards.get(name)
    return Unavailable(f"there is no rate card {name}") if found is None else found
