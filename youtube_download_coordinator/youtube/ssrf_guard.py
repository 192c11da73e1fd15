"""Block yt-dlp from the worker's own network if sites other than YouTube are allowed.

Then everybody who can edit the list determines the hosts that workers contact. Such a host can lead to others by redirects, by
names that resolve to any address, and by media addresses. Only the address at the moment of connecting is reliable. An audit hook
checks this address for every library. A hook cannot be removed, so it is used in child processes.

Through a proxy, the worker connects only to the proxy, which decides about further connections.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from youtube_download_coordinator.errors import PermanentError

HOW_TO_ALLOW = "allow_private_addresses (YDC_ALLOW_PRIVATE_ADDRESSES=true) lets workers reach it"
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_UNICAST = ipaddress.ip_network("2000::/3")
"""The IPv6 addresses of the internet. Others are local, or are translated into an IPv4 address."""
_DOCUMENTATION = ipaddress.ip_network("3fff::/20")
_ADDRESS = re.compile(
    r"[a-z][a-z0-9+.-]*://|(?<![a-z0-9+.-])(?:https?|ftps?|gopher|rtmp\w*|rtsps?|rtp|srt|tcp|tls|udp):\S", re.I
)
"""The start of an address. ffmpeg also accepts http:host/path."""
_METADATA = re.compile(r"(?:purl|comment|description|synopsis)=")
_PROXY_SCHEMES = frozenset({"all", "ftp", "http", "https", "socks", "ws", "wss"})
_PORTS = {"http": 80, "https": 443}
_SOCKS_PORT = 1080
_PROGRAM_ARGUMENTS = {"subprocess.Popen": 1, "os.posix_spawn": 1, "os.exec": 1, "os.system": 0}
"""The audit events for starting a program, and the indexes of the program's arguments."""
Place = tuple[str, int]
"""An IP address and a port."""


class PrivateAddressError(PermanentError, OSError):
    """Raised instead of a connection to an address that is not public. The library that connects sees an OSError."""

    default_reason = "own-network"


def block_private_addresses(proxy: str = "", services: Iterable[str] = ()) -> None:
    """Let this process connect only to public addresses, to its proxies, and to services that the operator has configured.

    `proxy` is an address; without it the environment's proxies are used. `services` are addresses too, and each allows exactly
    its host and port. Names are resolved once, now. Connections to hosts in NO_PROXY are direct, so they are checked. Any other
    connection raises PrivateAddressError. Starting a program with an address to fetch raises it as well, because the hook does
    not see that program's connections: yt-dlp lets ffmpeg fetch some streams. The address of a proxy may be passed on.
    curl_cffi, which connects without Python's sockets, cannot be imported.
    """
    environment = (address for scheme, address in getproxies().items() if scheme in _PROXY_SCHEMES)
    proxies = frozenset([proxy] if proxy else environment)
    allowed = frozenset(_places([*proxies, *services]))

    def check(event: str, arguments: tuple[Any, ...]) -> None:
        if _lifted:
            return
        if event == "socket.connect":
            _check_connection(arguments[0].family, arguments[1], allowed)
        elif event in _PROGRAM_ARGUMENTS:
            _check_program(arguments[_PROGRAM_ARGUMENTS[event]], proxies)

    _keep_out_curl()
    sys.addaudithook(check)


@contextmanager
def guard_lifted(is_lifted: bool = True) -> Iterator[None]:
    """Allow all connections in the `with` block, which runs the operator's own code. With False, guard it again."""
    global _lifted
    before, _lifted = _lifted, is_lifted
    try:
        yield
    finally:
        _lifted = before


_lifted = False


def is_public(text: str) -> bool:
    """Return whether an IP address belongs to the internet rather than to this machine, its network or its cloud."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False  # a name, which may resolve to any address
    if isinstance(address, ipaddress.IPv6Address):
        if inside := _ipv4_inside(address):
            address = inside
        elif address not in _UNICAST or address in _DOCUMENTATION:
            return False
    return address.is_global and not address.is_multicast


def _ipv4_inside(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address into which it may be translated."""
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def _check_connection(family: int, address: Any, allowed: frozenset[Place]) -> None:
    if family not in (socket.AF_INET, socket.AF_INET6):
        return  # a socket in the file system, which no URL can name
    host, port = address[:2]
    if not is_public(host) and (host, port) not in allowed:
        raise PrivateAddressError(f"{host} is an address of the worker's own network; {HOW_TO_ALLOW}")


def _check_program(arguments: Any, proxies: frozenset[str]) -> None:
    words = [arguments] if isinstance(arguments, str | bytes | os.PathLike) else arguments or ()
    previous = ""
    for word in map(os.fsdecode, words):
        is_metadata = previous.startswith("-metadata") or _METADATA.match(word)
        if not is_metadata and _ADDRESS.search(_without_proxy(word, proxies)):
            raise PrivateAddressError(
                f"only another program could fetch this stream, from the worker's own network too; {HOW_TO_ALLOW}"
            )
        previous = word


def _without_proxy(word: str, proxies: frozenset[str]) -> str:
    """Return an argument without the proxy's address, if it is the address or an option with it (`--proxy=ADDRESS`)."""
    option, _, value = word.rpartition("=") if word.startswith("-") else ("", "", word)
    return option if value in proxies else word


def _keep_out_curl() -> None:
    """Make yt-dlp work as if curl_cffi were not installed."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "curl_cffi"]:
        del sys.modules[name]
    sys.modules["curl_cffi"] = None  # type: ignore[assignment]  # Python's way to make an import fail
    if common := sys.modules.get("yt_dlp.networking.common"):
        common._REQUEST_HANDLERS.pop("CurlCFFI", None)


def _places(addresses: Iterable[str]) -> Iterator[Place]:
    """Yield where hosts are. A name that cannot be resolved is left out: nothing can connect to it."""
    for address in addresses:
        try:
            parts = urlsplit(address if "://" in address else f"http://{address}")
            port = parts.port or _PORTS.get(parts.scheme, _SOCKS_PORT)
            places = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
        except (OSError, ValueError):
            continue
        yield from ((str(place[0]), port) for *_, place in places)
