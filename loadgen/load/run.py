"""One test, from Locust's start to its stop: when it is sampled, and when it ends."""

import locust  # noqa: F401 # isort: skip - first, since it patches the standard library
import argparse
import time
from collections.abc import Mapping

import gevent
from gevent.event import Event
from locust.env import Environment
from locust.runners import Runner

from loadgen.errors import PlaygroundError
from loadgen.load import console, web_ui
from loadgen.load.controller import RunController
from loadgen.load.hard_cases import HardCases
from loadgen.load.options import fill_in, wanted_by
from loadgen.load.outcome import Outcome
from loadgen.load.rate_history import RateHistory
from loadgen.workload.ledger import Counts
from loadgen.workload.schedule.clock import sampling_interval, seconds_to_next
from loadgen.workload.schedule.rate_curve import ProfileName

_RETRY_SECONDS = 1.0  # while the record can't be written
_TIMER_SLACK = 0.5  # Locust's timer is armed before the test starts


class LoadTest:
    """One test, from Locust's start to its stop; `start` lets its sampling begin."""

    def __init__(
        self, environment: Environment, controller: RunController, hard_cases: HardCases | None
    ) -> None:
        options = options_of(environment)
        self.controller = controller
        self.interrupted = False
        self.finishing = False
        self.outcome: Outcome | None = None
        self.headless: bool = options.headless
        self.rate_history = RateHistory()
        if controller.left == controller.plan.duration:  # a resumed run has counts already
            self.rate_history.add(0.0, 0.0, 0, 0)
        self.console = console.RunConsole(controller, on_stderr=options.json)
        self._environment = environment
        self._hard_cases = hard_cases
        self._finished = Event()
        self._failures: dict[tuple[str, str], int] = {}  # that the page has
        self._form = wanted_by(
            options, controller.operations
        )  # rates and profile that the form showed last
        self._sampling: gevent.Greenlet[[], None] | None = None

    def start(self) -> None:
        """Begin the hard cases and the sampling."""
        if self._hard_cases is not None:
            self._hard_cases.start()
        self._sampling = gevent.spawn(self._sample_for_ever)
        self.console.print_start()

    @property
    def ended(self) -> bool:
        """Whether it is over; without an outcome if its record could not be closed."""
        return self.outcome is not None or self._finished.is_set()

    def user_count(self) -> int:
        """Return how many users there are now."""
        return int(runner_of(self._environment).user_count)

    def finish(self) -> None:
        """Drain and close the record, once; a second caller waits for the first."""
        if self.finishing:
            self._finished.wait()
            return
        self.finishing = True
        controller = self.controller
        swarm, duration = controller.swarm, controller.plan.duration
        by_timer = time.monotonic() - controller.opened_at > controller.left - _TIMER_SLACK
        while by_timer and not self.interrupted and swarm.elapsed() < duration:
            # Locust's timer began before the schedule did: let that come to its end.
            gevent.sleep(0.01)
        if self._sampling is not None:
            self._sampling.kill()
        try:
            self.outcome = controller.finish(self._hard_cases, interrupted=self.interrupted)
            self._feed_page()
            self._environment.process_exit_code = self.outcome.exit_code
            if not self.headless:
                self.console.print_summary(self.outcome)
            elif swarm.ended_early_reason(self.outcome.seconds):
                # Locust would wait for its run time to pass, without a worker.
                gevent.spawn(runner_of(self._environment).quit)
        except PlaygroundError as exc:
            console.print_error(exc)
            self._environment.process_exit_code = exc.exit_code
        finally:
            self._finished.set()

    def _sample_for_ever(self) -> None:
        """Sample at whole seconds of schedule time, and stop the test at its deadline.

        In a pause, which counts for the duration too, sample as often.
        """
        controller, swarm = self.controller, self.controller.swarm
        sampler = controller.sampler
        while (now := swarm.now()) < 0:
            gevent.sleep(0.005)
        before, duration = -1.0, controller.plan.duration
        elapsed = swarm.elapsed()
        while elapsed < duration:
            interval = _RETRY_SECONDS if sampler.behind else sampling_interval(elapsed)
            gevent.sleep(min(seconds_to_next(now, before, interval), duration - swarm.elapsed()))
            # Read before the position is written: a killed run continues after the written time.
            before, now, elapsed = now, swarm.now(), swarm.elapsed()
            swarm.await_reports(now)
            if self._hard_cases is not None:
                controller.record.buffer(self._hard_cases.take_deleted())
            counts = sampler.sample()
            total, planned = sum(counts.values(), Counts()), swarm.planned()
            self.rate_history.add(
                swarm.elapsed(), sum(planned.values()), total.offered, total.committed
            )
            self._feed_page()
            self.console.print_notices(sampler.notices)
            self.console.print_activity(self.rate_history, total)
        if not self.headless and not self.finishing:
            # Locust's page forgets its own timer at an Edit; headless it keeps it. A second stop
            # would make a master forget its workers.
            gevent.spawn(runner_of(self._environment).stop)

    def _feed_page(self) -> None:
        failures = dict(self.controller.swarm.failures())
        new = {key: n - self._failures.get(key, 0) for key, n in failures.items()}
        self._failures = failures
        stats = self._environment.stats
        web_ui.feed(stats, self.controller.sampler.service, new)
        web_ui.prune(stats)

    def change(
        self, rates_per_hour: Mapping[str, float], profile: ProfileName | None, *, by: str
    ) -> None:
        """Change rates or profile by another way than the page, whose form then shows them."""
        self.take_edits()
        self.controller.live_changes.change(rates_per_hour, profile, by=by)
        self._fill_in_form()

    def take_edits(self) -> str:
        """Apply the changes of a form; return how many processes acknowledged them, if any.

        Called when Locust has taken the form: it fires no event for an Edit. Raises PlaygroundError
        if they can't be journaled; then the form shows the unchanged rates.
        """
        form = wanted_by(options_of(self._environment), self.controller.operations)
        if form == self._form or self.finishing:
            return ""
        self._form = form
        (mix, profile), live_changes = form, self.controller.live_changes
        try:
            live_changes.change(mix.rates_per_hour, profile, by="page")
        except PlaygroundError:
            self._fill_in_form()
            raise
        return live_changes.applied_by

    def _fill_in_form(self) -> None:
        operations, live_changes = self.controller.operations, self.controller.live_changes
        options = options_of(self._environment)
        fill_in(options, operations, live_changes.mix, live_changes.profile)
        self._form = wanted_by(options, operations)


def options_of(environment: Environment) -> argparse.Namespace:
    """Return Locust's options, the rates among them."""
    options: argparse.Namespace | None = environment.parsed_options
    if options is None:
        raise AssertionError("Locust gives its options to every environment that main makes")
    return options


def runner_of(environment: Environment) -> Runner:
    """Return Locust's runner."""
    runner = environment.runner
    if runner is None:
        raise AssertionError("Locust makes the runner before the first event")
    return runner
