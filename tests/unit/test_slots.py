"""Slots of the compiled loop: each has one use at a time, and its outcome is counted once."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import pytest

from loadgen.load.driver import compiled_loop as loop
from loadgen.load.driver import slots
from loadgen.load.driver.loop_thread import SLOTS, new_shared
from loadgen.workload.histogram import Histogram

ROOT = Path(__file__).parents[2]

OUTCOMES = (loop.ONE_ROW_EACH, loop.OTHER_ROWS, loop.SKIPPED, loop.NOTHING_TO_SEND, 23505)
USUAL, SINGLE, ALL = range(3)  # operations


class Replay:
    """Batches that are filled, finished in any order, and collected."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.shared, self.stock = new_shared(1, 1), slots.Stock.of(SLOTS)
        self.tally = slots.Tally.of(3)
        self.tally.singly[:] = 0, slots.COMMITTED_ONES, slots.ALL_ONES
        self.under_way: list[int] = []
        self.left = Counter[int]()  # slots in use, by batch
        self.collected = 0

    def fill(self, batch: int) -> None:
        """Take slots for a batch."""
        n, before = self.random.randint(1, 300), slots.room(self.stock)
        dues = np.sort([self.random.uniform(0, 5) for _ in range(n)])
        addresses = np.arange(n)
        slots.fill(self.shared.slots, self.stock, dues, addresses, addresses + 1, batch % 3, batch)
        taken = self.stock.unused[slots.room(self.stock) : before][::-1].tolist()
        assert self.shared.slots["due"][taken].tolist() == dues.tolist()
        assert self.shared.slots["place"][taken].tolist() == [*range(n)]
        assert not set(taken) & set(self.under_way)
        self.under_way += taken
        self.left[batch] = n

    def finish(self) -> list[int]:
        """Finish some writes, as the loop does; return their slots."""
        s, n = self.shared, self.random.randint(0, len(self.under_way))
        self.random.shuffle(self.under_way)
        done, self.under_way = self.under_way[:n], self.under_way[n:]
        for slot in done:
            entry = s.slots[slot]
            entry["outcome"] = self.random.choice(OUTCOMES)
            entry["began"] = self.random.uniform(5, 6)
            entry["ended"] = entry["began"] + self.random.choice((0.0, 1e-6, 0.003, 2.5, 3000.0))
            entry["ended_at"] = entry["due"] + self.random.uniform(0, 9)
            s.finished[s.words[loop.FINISHED] & (SLOTS - 1)] = slot
            s.words[loop.FINISHED] += 1
        return done

    def collect(self) -> list[int]:
        """Collect the finished slots; return those that are left to Python."""
        end = int(self.shared.words[loop.FINISHED])
        slots.collect(
            self.shared.slots, self.shared.finished, self.stock, self.tally, self.collected, end
        )
        self.collected = end
        others: list[int] = slots.others(self.stock).tolist()
        return others


@pytest.mark.parametrize("seed", range(4))
def test_each_write_is_counted_once(seed: int) -> None:
    """By operation and outcome, with the latencies that `Histogram` would have counted."""
    replay, counts = Replay(seed), Counter[tuple[int, int]]()
    found = Counter[tuple[int, int]]()
    expected = [(Histogram(), Histogram()) for _ in range(3)]
    counted = [(Histogram(), Histogram()) for _ in range(3)]
    for batch in range(60):
        replay.fill(batch)
        done = replay.shared.slots[replay.finish()]
        left = replay.collect()
        for entry in done:
            number, outcome = int(entry["operation"]), int(entry["outcome"])
            counts[number, outcome] += 1
            if outcome == loop.ONE_ROW_EACH:
                expected[number][0].add([float(entry["ended"] - entry["began"])])
                expected[number][1].add([float(entry["ended_at"] - entry["due"])])
        others = Counter(
            (int(s["operation"]), int(s["outcome"])) for s in replay.shared.slots[left]
        )
        assert all(others[SINGLE, outcome] == 0 for outcome in (loop.SKIPPED,))
        assert not {outcome for number, outcome in others if number == USUAL} & {
            loop.ONE_ROW_EACH,
            loop.SKIPPED,
        }
        found += Counter({(n, o): c for (n, o), c in others.items() if o not in {0, loop.SKIPPED}})
        for number, skipped, service, intended in replay.tally.take():
            found[number, loop.SKIPPED] += skipped
            found[number, loop.ONE_ROW_EACH] += service.count()
            counted[number][0].merge(service)
            counted[number][1].merge(intended)
        slots.release_all(replay.shared.slots, replay.stock, np.array(left, np.int64))
    assert +found == +counts
    skipped = sum(n for (_, outcome), n in counts.items() if outcome == loop.SKIPPED)
    assert slots.skipped(replay.stock) == skipped > 0
    for number in range(3):
        for ours, theirs in zip(counted[number], expected[number], strict=True):
            assert (ours.counts, ours.maximum) == (theirs.counts, theirs.maximum)
            assert ours.total == pytest.approx(theirs.total)
    assert slots.room(replay.stock) == SLOTS - len(replay.under_way)


@pytest.mark.parametrize("seed", range(4))
def test_a_batch_is_given_back_with_its_last_slot(seed: int) -> None:
    """Its requests have to stay in memory until then."""
    replay, given_back = Replay(seed), set[int]()
    for batch in range(40):
        replay.fill(batch)
        done = replay.finish()
        batches = replay.shared.slots["batch"][done].tolist()
        slots.release_all(replay.shared.slots, replay.stock, np.array(replay.collect(), np.int64))
        replay.left.subtract(batches)
        emptied = slots.take_emptied(replay.stock)
        assert set(emptied) == {b for b in batches if not replay.left[b]}
        assert len(emptied) == len({*emptied} - given_back)
        given_back |= {*emptied}
        used = np.flatnonzero(replay.shared.slots["batch"] != slots.NO_BATCH).tolist()
        assert sorted(replay.under_way) == used


def test_plain_python_does_the_same() -> None:
    """The code that Numba compiles here passes these tests as Python too."""
    if os.environ.get("NUMBA_DISABLE_JIT"):
        return
    files = ("tests/unit/test_slots.py", "tests/unit/test_request_block.py")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files],
        cwd=ROOT,
        env=kept | {"NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
