"""Keeping yt-dlp out of the worker's own network, when other sites than YouTube are allowed.

Then whoever can edit the list names the hosts that workers ask, and a page of such a host names others: by redirects, names that
resolve to anything, media addresses. Only the address at the moment of connecting tells where it goes, so that is what is
looked at, by an audit hook: whichever library connects, it is asked. A hook cannot be removed, so it belongs into a child.

Through a proxy the worker connects to the proxy alone; what can be reached from there is the proxy's to decide.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import sys
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from youtube_download_coordinator.errors import PermanentError

HOW_TO_ALLOW = "allow_private_addresses (YDC_ALLOW_PRIVATE_ADDRESSES=true) lets workers reach it"
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_PROXY_PORTS = {"http": 80, "https": 443}
_SOCKS_PORT = 1080
Place = tuple[str, int]
"""An IP address and a port."""


class PrivateAddressError(PermanentError, OSError):
    """A connection that is not made: no address of anybody else's. As an OSError it is one to the library that connects."""

    default_reason = "own-network"


def block_private_addresses(proxy: str = "") -> None:
    """From now on this process connects to public addresses only, and to its proxies (`proxy`, else the environment's).

    What connects elsewhere gets an OwnNetworkError. So does what starts a program with an address to fetch, which nobody could
    watch: yt-dlp has ffmpeg fetch some streams.
    """
    proxies = frozenset(_places([proxy] if proxy else getproxies().values()))

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect":
            _check_connection(arguments[0].family, arguments[1], proxies)
        elif event == "subprocess.Popen":
            _check_program(arguments[1])

    sys.addaudithook(look)


def is_public(text: str) -> bool:
    """Whether an IP address belongs to the internet at large, and not to this machine, its network or its cloud."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False  # a name: nobody knows where it will lead
    if isinstance(address, ipaddress.IPv6Address) and (inside := _ipv4_inside(address)):
        address = inside
    return address.is_global and not address.is_multicast


def _ipv4_inside(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The address that a translator on the way makes of it."""
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def _check_connection(family: int, address: Any, proxies: frozenset[Place]) -> None:
    if family not in (socket.AF_INET, socket.AF_INET6):
        return  # no URL leads to a socket in the file system
    host, port = address[:2]
    if not is_public(host) and (host, port) not in proxies:
        raise PrivateAddressError(f"{host} is an address of the worker's own network; {HOW_TO_ALLOW}")


def _check_program(arguments: Any) -> None:
    words = [arguments] if isinstance(arguments, str | bytes) else arguments or ()
    if any(_ADDRESS.match(word) for word in words if isinstance(word, str)):
        raise PrivateAddressError(
            f"only another program could fetch this stream, from the worker's own network too; {HOW_TO_ALLOW}"
        )


def _places(proxies: Iterable[str]) -> Iterator[Place]:
    """Where proxies are; one whose name cannot be resolved cannot be asked either."""
    for proxy in proxies:
        try:
            split = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
            port = split.port or _PROXY_PORTS.get(split.scheme, _SOCKS_PORT)
            found = socket.getaddrinfo(split.hostname, port, type=socket.SOCK_STREAM)
        except (OSError, ValueError):
            continue
        yield from ((str(place[0]), port) for *_, place in found)
