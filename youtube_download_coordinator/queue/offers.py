"""Match rows with the machines that can process them: by the country of a machine's address, or by a YouTube account.

A video that failed with `region` or `needs-account` is not given up while another machine may succeed. It waits: its
lease is pending, with a `not_before` that is never reached and that encodes the machines it waits for. So no ordinary claim finds
it, and a machine with an offer finds it without reading the rows that wait for others. Its detail ends with its need:

    region: The uploader has not made this video available in your country (waits for region:BR or region:PT; not in DE)

Because the need is part of the detail, every store keeps it, people see it, and a worker of 0.1.0 reads it as plain text.

An offer is a line of Control, `offers account region:br`, one for all machines that offer the same. It is valid for 24 hours, and
renewed by whichever of them claims next.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from youtube_download_coordinator.models import (
    NEEDS_MACHINE_FROM,
    Control,
    Failure,
    Lease,
    State,
    Verdict,
    with_throttles,
)
from youtube_download_coordinator.queue.cooldown import OFFERED, OFFERS
from youtube_download_coordinator.text import DETAIL_MAX_CHARACTERS, did_you_mean, truncate

ACCOUNT, REGION = "account", "region:"
VALID = timedelta(hours=24)
RENEWED_AFTER = timedelta(hours=6)
REGIONS_MAX = 12
"""The most countries in a list of a need, which has to fit into the detail of a lease."""
OFFERED_MAX = 10
"""The most countries that one machine may offer."""
FAILED_MAX = 40
"""A row that has failed in this many countries is given up."""
SHOWN_MAX = 6
"""The most countries that a need names. Other countries may match it as well."""
THROTTLES_CHARACTERS = 32
"""The longest text that `with_throttles` may add to a detail."""
LONGEST_WAIT_MILLISECONDS = 8 * 365 * 24 * 3600 * 1000

_COUNTRY_CODES = """
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC CD
CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF
GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN
KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA
NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI
SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI
VN VU WF WS YE YT ZA ZM ZW
"""
COUNTRIES = frozenset(_COUNTRY_CODES.split())
"""ISO 3166-1, alpha-2."""
_MEANT = {"UK": "GB", "EN": "GB", "EL": "GR", "USA": "US"}
"""Common codes that are not in ISO 3166, and the correct ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """The special abilities of a machine, or of several with the same abilities."""

    regions: frozenset[str] = frozenset()
    """Countries in which YouTube sees the machine's address, as ISO 3166 codes."""
    account: bool = False
    """Whether the machine has the cookies of an account."""

    def __bool__(self) -> bool:
        return bool(self.regions) or self.account

    def __str__(self) -> str:
        return ", ".join([ACCOUNT] * self.account + [f"{REGION}{code}" for code in sorted(self.regions)])

    @property
    def line_name(self) -> str:
        """Return the name of the offer's line in Control."""
        return OFFERS + str(self).replace(",", "").casefold()


NO_OFFER = Offer()


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """A row's requirements for the machine that processes it."""

    account: bool = False
    waits_for: tuple[str, ...] = ()
    """Countries that were offered when the row failed. Empty: the country does not matter."""
    not_in: frozenset[str] = frozenset()
    """Countries in which the video is known not to be available."""
    only_in: frozenset[str] = frozenset()
    """Countries in which the video is available; empty: not known."""

    def __bool__(self) -> bool:
        return self.account or bool(self.waits_for)

    def __str__(self) -> str:
        """Return the need as text: `account with region:BR or region:PT`."""
        regions = " or ".join(f"{REGION}{code}" for code in self.waits_for)
        return " with ".join([ACCOUNT] * self.account + [regions] * bool(regions))

    def is_met_by(self, offer: Offer) -> bool:
        return (offer.account or not self.account) and (not self.waits_for or bool(self.suitable(offer.regions)))

    def suitable(self, regions: Iterable[str]) -> set[str]:
        """Return the given countries in which the video may be available."""
        return {code for code in regions if code not in self.not_in and (not self.only_in or code in self.only_in)}

    @property
    def not_before(self) -> datetime:
        """Return the time that marks rows with this need. Rows with the same need have the same time. It is never reached."""
        number = int.from_bytes(hashlib.sha256(str(self).encode()).digest()[:8], "big")
        return NEEDS_MACHINE_FROM + timedelta(milliseconds=number % LONGEST_WAIT_MILLISECONDS)


NO_NEED = Need()


# --- offers ----------------------------------------------------------------------------------------------------------


def parse_offer(words: Iterable[str]) -> Offer:
    """Return the offer in words like `account` and `region:BR`. Raises ValueError, with one line that says how to write it."""
    regions, account = set(), False
    for word in words:
        name, mark, code = word.partition(":")
        code = code.upper()
        if word.casefold() == ACCOUNT:
            account = True
        elif name.casefold() == "region" and code in COUNTRIES:
            regions.add(code)
        else:
            raise ValueError(_mistake(word, name if not mark else code, is_region=name.casefold() == "region"))
    if len(regions) > OFFERED_MAX:
        raise ValueError(
            f"a machine can offer at most {OFFERED_MAX} countries: those in which YouTube sees its address"
        )
    return Offer(regions=frozenset(regions), account=account)


def _mistake(word: str, code: str, *, is_region: bool) -> str:
    """Return the error message for a wrong word of an offer."""
    code = _MEANT.get(code.upper(), code.upper())
    if code in COUNTRIES:
        return f"not an offer: {word}; did you mean {REGION}{code}?"
    if is_region:
        return f"not an offer: {word}; a country is an ISO code of two letters, as in region:BR"
    hint = did_you_mean(word, [ACCOUNT]) or "; write account, or region: and an ISO code (region:BR)"
    return f"not an offer: {word}{hint}"


def offer_of(line: Control, now: datetime) -> Offer:
    """Return the current offer in a line of Control, or NO_OFFER if it is another line, has expired, or cannot be parsed."""
    if not is_offer(line) or line.until is None or line.until <= now or not _is_offered(line):
        return NO_OFFER
    try:
        return parse_offer(re.split(r"[\s,]+", line.name.removeprefix(OFFERS).strip()))
    except ValueError:
        return NO_OFFER


def offers_in(lines: Iterable[Control], now: datetime) -> list[Offer]:
    """Return all offers that are valid now."""
    return [offer for line in lines if (offer := offer_of(line, now))]


def is_offer(line: Control) -> bool:
    """Return whether a line is an offer, valid or not."""
    return line.name.startswith(OFFERS)


def _is_offered(line: Control) -> bool:
    return line.value.strip().casefold() in {"", OFFERED}


def needs_renewal(offer: Offer, lines: Iterable[Control], now: datetime) -> bool:
    """Return whether the line of an offer is missing, or was last renewed some hours ago."""
    line = next((line for line in lines if line.name == offer.line_name), None)
    return line is None or renewed(line, offer, now, "") is not None


def renewed(line: Control | None, offer: Offer, now: datetime, worker: str) -> Control | None:
    """Renew an offer's line. Return None if it is fresh, or if a person has withdrawn the offer."""
    line = line or Control(name=offer.line_name)
    if not _is_offered(line) or (line.until and line.until > now + VALID - RENEWED_AFTER):
        return None
    until = (now + VALID).replace(microsecond=0)
    return replace(line, value=OFFERED, until=until, reason=f"{worker} offers this")


# --- needs -----------------------------------------------------------------------------------------------------------

_CODES = r"[A-Z]{2}(?: [A-Z]{2})*"
_REGIONS = rf"{REGION}[A-Z]{{2}}(?: or {REGION}[A-Z]{{2}})*"
_NEED = re.compile(
    rf"(?: \((?:waits for (?P<account>{ACCOUNT})?(?P<with>(?<={ACCOUNT}) with )?(?P<regions>{_REGIONS})?(?:; )?)?"
    rf"(?:not in (?P<not_in>{_CODES})(?:; )?)?(?:only in (?P<only_in>{_CODES}))?\))"
    r"(?P<throttles>(?: \(throttled \d{1,6} times?\))?)$"
)


def need_of(lease: Lease) -> Need:
    """Return the need in the detail of a lease. A finished row needs nothing."""
    match = _NEED.search(lease.detail) if lease.state is not State.DONE else None
    if match is None:
        return NO_NEED
    return Need(
        account=bool(match["account"]),
        waits_for=tuple(re.findall(rf"(?<={REGION})[A-Z]{{2}}", match["regions"] or "")),
        not_in=frozenset((match["not_in"] or "").split()),
        only_in=frozenset((match["only_in"] or "").split()),
    )


def with_need(detail: str, need: Need) -> str:
    """Return a failure's detail with this need before the throttle count. An earlier need is replaced."""
    throttles = Lease(detail=detail, nonce="").throttles
    text = with_throttles(detail, 0)
    while match := _NEED.search(text):
        text = text[: match.start()]
    parts = [f"waits for {need}"] * bool(need)
    parts += [f"not in {' '.join(sorted(need.not_in))}"] * bool(need.not_in)
    parts += [f"only in {' '.join(sorted(need.only_in))}"] * bool(need.only_in)
    suffix = f" ({'; '.join(parts)})" if parts else ""
    most = DETAIL_MAX_CHARACTERS - len(suffix) - THROTTLES_CHARACTERS * bool(suffix)
    return with_throttles(truncate(text, most) + suffix, throttles)


def waits(lease: Lease) -> bool:
    """Return whether a row waits for a machine that offers what it needs."""
    return (
        lease.state is State.PENDING and bool(lease.not_before) and bool(need_of(lease)) and is_wait(lease.not_before)
    )


def is_wait(not_before: datetime | None) -> bool:
    """Return whether a time marks rows that wait for a machine."""
    last = NEEDS_MACHINE_FROM + timedelta(milliseconds=LONGEST_WAIT_MILLISECONDS)
    return not_before is not None and NEEDS_MACHINE_FROM <= not_before < last


@dataclass(frozen=True, slots=True, kw_only=True)
class Offers:
    """The offer of one machine and the offers of all machines."""

    own: Offer = NO_OFFER
    all: Collection[Offer] = ()

    def need_after(self, need: Need, failure: Failure) -> Need:
        """Return a row's need after a failure, given its need before.

        If no machine offers what the row needs, keep only the countries (`not_in`, `only_in`).
        """
        if failure.verdict is not Verdict.PERMANENT or failure.reason not in CURED_BY_MACHINES:
            return need
        account, needs_region = need.account, bool(need.waits_for)
        if failure.reason == NEEDS_ACCOUNT:
            if self.own.account:
                return replace(need, account=False, waits_for=())
            account = True
        else:
            need = _with_countries(replace(need, not_in=need.not_in | self.own.regions), failure.regions, self.all)
            needs_region = True
        return self.assigned(need, account=account, needs_region=needs_region)

    def assigned(self, need: Need, *, account: bool, needs_region: bool) -> Need:
        """Return the need restricted to current offers. If no machine offers enough, the result waits for nothing."""
        offers = [offer for offer in self.all if offer.account or not account]
        suitable = {code for offer in offers for code in need.suitable(offer.regions)} if needs_region else set()
        if not offers or (needs_region and not suitable) or len(need.not_in) > FAILED_MAX:
            return replace(need, account=False, waits_for=())
        return replace(need, account=account, waits_for=tuple(sorted(suitable))[:SHOWN_MAX])


NO_OFFERS = Offers()
REGION_REASON, NEEDS_ACCOUNT = "region", "needs-account"
CURED_BY_MACHINES = frozenset({REGION_REASON, NEEDS_ACCOUNT})
"""Reasons of failures that another machine may avoid."""


def _with_countries(need: Need, available: Collection[str], offers: Iterable[Offer]) -> Need:
    """Return the need with the countries that YouTube names, as many as fit into a detail."""
    only = {code.upper() for code in available} & COUNTRIES
    if not only:
        return replace(need, not_in=need.not_in & need.only_in if need.only_in else need.not_in)
    others = COUNTRIES - only
    if len(only) <= REGIONS_MAX:
        return replace(need, only_in=frozenset(only), not_in=need.not_in & only)
    if len(others) <= REGIONS_MAX:
        return replace(need, not_in=need.not_in | others)
    offered = sorted(only & {code for offer in offers for code in offer.regions})
    # No machine offers one of them, so the country does not matter.
    kept = frozenset(offered[:REGIONS_MAX]) or frozenset(sorted(only)[:REGIONS_MAX])
    return replace(need, only_in=kept, not_in=need.not_in & kept)
