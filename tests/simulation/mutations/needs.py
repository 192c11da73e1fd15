"""Mutations of what machines offer and what rows need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any
from unittest import mock

from youtube_download_coordinator.models import Control, Failure
from youtube_download_coordinator.queue import lifecycle, offers
from youtube_download_coordinator.queue.maintenance import Maintenance
from youtube_download_coordinator.queue.offers import NO_NEED, Need, Offer, Offers


@contextmanager
def any_machine_claims_what_waits() -> Iterator[None]:
    """Claim rows that wait for a machine with another offer."""
    with mock.patch.object(Need, "is_met_by", return_value=True):
        yield


@contextmanager
def what_waits_is_never_given_up() -> Iterator[None]:
    """Let rows wait on for machines that offer nothing any more."""
    with mock.patch.object(Maintenance, "_reconsider", return_value=[]):
        yield


@contextmanager
def offers_never_run_out() -> Iterator[None]:
    """Go by the lines of machines that have been gone for long."""
    offer_of = offers.offer_of

    def offered(line: Control, now: datetime) -> Offer:
        return offer_of(replace(line, until=now + offers.VALID), now)

    with mock.patch.object(offers, "offer_of", offered):
        yield


@contextmanager
def offers_are_overlooked() -> Iterator[None]:
    """Give up a row although another machine offers what it needs."""
    with mock.patch.object(Offers, "need_after", return_value=NO_NEED):
        yield


@contextmanager
def needs_are_forgotten() -> Iterator[None]:
    """Let any machine try a row again that failed otherwise on a machine which offered what it needs."""
    describe = lifecycle._describe

    def forgetful(failure: Failure, throttles: int, need: Need = NO_NEED) -> str:
        return describe(failure, throttles, need if failure.reason in offers.CURED_BY_MACHINES else NO_NEED)

    with mock.patch.object(lifecycle, "_describe", forgetful):
        yield


@contextmanager
def countries_are_tried_again() -> Iterator[None]:
    """Forget in which countries a video has failed."""
    need_after = Offers.need_after

    def again(self: Offers, need: Need, failure: Any) -> Need:
        return need_after(Offers(own=Offer(account=self.own.account), all=self.all), need, failure)

    with mock.patch.object(Offers, "need_after", again):
        yield
