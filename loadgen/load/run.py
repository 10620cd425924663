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
from loadgen.load.options import asked_by, show
from loadgen.load.outcome import Outcome
from loadgen.workload.schedule.clock import sampling_interval, seconds_to_next
from loadgen.workload.schedule.rate_curve import ProfileName

_RETRY_SECONDS = 1.0  # while the record can't be written
_TIMER_SLACK = 0.5  # Locust's timer is armed before the test starts


class Run:
    """One test, from Locust's start to its stop."""

    def __init__(self, environment: Environment, controller: RunController) -> None:
        self.controller = controller
        self._hard_cases: HardCases | None = None
        if cases := options_of(environment).hard_cases:
            live_changes = controller.live_changes
            self._hard_cases = HardCases(
                controller.dsn,
                controller.settings,
                cases,
                lambda: live_changes.paused is not None,
                controller.record.now,
            )
            self._hard_cases.start()
        self.interrupted = False
        self.headless: bool = options_of(environment).headless
        self.outcome: Outcome | None = None
        self._environment = environment
        self._finished = Event()
        self.finishing = False
        self._failures: dict[tuple[str, str], int] = {}
        self._seen = asked_by(options_of(environment))
        self._sampling = gevent.spawn(self._sample)

    def users(self) -> int:
        """Return how many users there are now."""
        return int(runner_of(self._environment).user_count)

    def finish(self) -> None:
        """Drain and close the record, once; a second caller waits for the first."""
        if self.finishing:
            self._finished.wait()
            return
        self.finishing = True
        controller = self.controller
        duration = controller.plan.duration
        if (
            time.monotonic() - controller.made_at > controller.left - _TIMER_SLACK
            and not self.interrupted
        ):
            # Locust's timer began before the schedule did: let that come to its end.
            while controller.swarm.elapsed() < duration and not self.interrupted:
                gevent.sleep(0.01)
        self._sampling.kill()
        if self._hard_cases is not None:
            turns = self._hard_cases.stop()
            controller.record.run.hard_cases = turns
            controller.record.write_later()
            controller.record.keep(self._hard_cases.take_deleted())
            controller.hard_cases_committed = sum(case.committed for case in turns.values())
            controller.hard_case_failures = self._hard_cases.failures()
        try:
            self.outcome = controller.finish(interrupted=self.interrupted)
            self._feed_page()
            self._environment.process_exit_code = self.outcome.exit_code
            if not self.headless:
                console.print_summary(self.outcome, controller)
            elif controller.swarm.desertion(self.outcome.seconds):
                # Locust would wait for its run time to pass: nobody is there to use it.
                gevent.spawn(runner_of(self._environment).quit)
        except PlaygroundError as exc:
            console.print_error(exc)
            self._environment.process_exit_code = exc.exit_code
        finally:
            self._finished.set()

    def _sample(self) -> None:
        """Sample at whole seconds of schedule time, and stop the test at its deadline.

        In a pause, whose seconds are the duration's too, sample as often.
        """
        controller, swarm = self.controller, self.controller.swarm
        while (now := swarm.now()) < 0:
            gevent.sleep(0.005)
        said = console.Activity()
        before, duration = -1.0, controller.plan.duration
        elapsed = swarm.elapsed()
        while elapsed < duration:
            interval = _RETRY_SECONDS if controller.behind else sampling_interval(elapsed)
            gevent.sleep(min(seconds_to_next(now, before, interval), duration - swarm.elapsed()))
            # Read before the position is kept: a killed run is looked up by what that says.
            before, now, elapsed = now, swarm.now(), swarm.elapsed()
            swarm.gather(now)
            if self._hard_cases is not None:
                controller.record.keep(self._hard_cases.take_deleted())
            counts = controller.sample()
            self._feed_page()
            console.print_news(controller.news)
            said.line(now, counts, swarm.asked())
        if not self.headless and not self.finishing:
            # Locust's page forgets its own timer at an Edit; headless it keeps it. A second stop
            # would make a master forget its workers.
            gevent.spawn(runner_of(self._environment).stop)

    def _feed_page(self) -> None:
        failures = dict(self.controller.swarm.failures())
        new = {key: n - self._failures.get(key, 0) for key, n in failures.items()}
        self._failures = failures
        stats = self._environment.stats
        web_ui.feed(stats, self.controller.last_service, new)
        web_ui.prune(stats)

    def change(
        self, rates_per_hour: Mapping[str, float], profile: ProfileName | None, *, by: str
    ) -> None:
        """Change rates or profile from elsewhere than the page, whose form then shows them."""
        self.take_edits()
        live_changes, options = self.controller.live_changes, options_of(self._environment)
        live_changes.change(rates_per_hour, profile, by=by)
        show(options, live_changes.mix, live_changes.profile)
        self._seen = asked_by(options)

    def take_edits(self) -> str:
        """Put in force what a form has changed; return who applied it, if anything was.

        Called when Locust has taken the form: it fires no event for an Edit. Raises PlaygroundError
        if that can't be journaled; then the form shows what is in force.
        """
        asked = asked_by(options_of(self._environment))
        if asked == self._seen or self.finishing:
            return ""
        self._seen = asked
        (mix, profile), live_changes = asked, self.controller.live_changes
        try:
            live_changes.change(mix.rates_per_hour, profile, by="page")
        except PlaygroundError:
            options = options_of(self._environment)
            show(options, live_changes.mix, live_changes.profile)
            self._seen = asked_by(options)
            raise
        return live_changes.applied_by


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
