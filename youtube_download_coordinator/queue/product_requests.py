"""Requests for further products of a video that is done: `ydc retry --product subtitles`. Pure functions.

The request is part of the lease's detail, so that every store keeps it, people see it, and a worker of 0.1.0 reads it as text:

    asked-for: one more product ⟦asked for subtitles; was media/Irish/x.m4a⟧
    http-503: subtitles: ... ⟦asked for subtitles; was media/Irish/x.m4a⟧ (throttled 2 times)

The request is kept until the row is done again, whatever happens in between. The row then gets its earlier result back.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from youtube_download_coordinator.models import (
    SKIPPED,
    SKIPPED_LICENSE,
    SKIPPED_TRAINING,
    Lease,
    State,
    with_degraded,
    with_throttles,
)
from youtube_download_coordinator.queue.offers import NO_NEED, THROTTLES_CHARACTERS, need_of, with_need
from youtube_download_coordinator.reasons import ASKED_FOR, REQUEST_START
from youtube_download_coordinator.text import DETAIL_MAX_CHARACTERS, truncate

ASKED = f"{ASKED_FOR}: one more product"
"""The detail, before the request, of a row that was not tried since the request."""
TEXT_MIN_CHARACTERS = 60
"""The earlier result is kept only if it leaves this much room for the reason of a failure."""

_START, _END = REQUEST_START, "⟧"
WAS = "; was "
"""Before the result that a row had. The databases look for it too."""
_REQUEST = re.compile(rf"{_START}(?P<products>[^;{_END}]+)(?:{WAS}(?P<result>[^{_END}]+))?{_END}")
_ANY_REQUEST = re.compile(rf"\s*{_START}[^{_END}…]*[{_END}…]")
"""A request, also one that was truncated."""
_WITHOUT = re.compile(r"(?:^| )\(without [^()]*\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductRequest:
    """A request for products of a row, with the row's earlier result."""

    products: Sequence[str] = ()
    result: str = ""

    def __bool__(self) -> bool:
        return bool(self.products)

    def also(self, products: Sequence[str]) -> ProductRequest:
        """Return the request with these products added."""
        return ProductRequest(products=tuple(dict.fromkeys([*self.products, *products])), result=self.result)

    def __str__(self) -> str:
        was = f"{WAS}{self.result}" if self.result else ""
        return f"{_START}{','.join(self.products)}{was}{_END}" if self else ""


NO_REQUEST = ProductRequest()


def request_of(lease: Lease) -> ProductRequest:
    """Return the request in a lease. A row that is done has none."""
    match = _REQUEST.search(lease.detail) if lease.state is not State.DONE else None
    if match is None:
        return NO_REQUEST
    return ProductRequest(products=tuple(match["products"].split(",")), result=match["result"] or "")


def request_for(products: Sequence[str], result: str) -> ProductRequest:
    """Return a request for products of a row that is done with this result."""
    kept = _WITHOUT.sub("", result)
    is_kept = not kept.startswith((SKIPPED, SKIPPED_LICENSE, SKIPPED_TRAINING)) and not any(
        sign in kept for sign in (_END, "…")
    )
    return ProductRequest(products=tuple(products), result=kept if is_kept else "")


def with_request(detail: str, request: ProductRequest) -> str:
    """Return a detail with this request, before the need and the throttle count. An earlier request is replaced."""
    if not request and _START not in detail:
        return detail
    lease = Lease(detail=detail, nonce="")
    throttles, need = lease.throttles, need_of(lease)
    text = _ANY_REQUEST.sub("", with_throttles(with_need(detail, NO_NEED), 0))
    room = DETAIL_MAX_CHARACTERS - len(with_need("", need)) - THROTTLES_CHARACTERS - 2
    if room - len(str(request)) < TEXT_MIN_CHARACTERS:
        request = ProductRequest(products=request.products)
    text = truncate(text or (ASKED if request else ""), max(room - len(str(request)), 1))
    return with_throttles(with_need(f"{text} {request}".strip(), need), throttles)


def without_products(request: ProductRequest, reason: str) -> str:
    """Return the result of a row that stays done, because the requested products cannot be made."""
    before = Lease(state=State.DONE, detail=request.result, nonce="")
    base = request.result.removesuffix(with_degraded("", before.degraded))
    note = f"(without {','.join(request.products)}: {reason})"
    return with_degraded(f"{base} {note}".strip(), before.degraded)
