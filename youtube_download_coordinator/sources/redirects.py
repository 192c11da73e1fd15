"""Resolve redirecting links from search results, messages and consent pages. Pure: the target is a parameter of the address."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, parse_qs

_REDIRECTS = tuple(
    (re.compile(host), re.compile(path), parameters)
    for host, path, parameters in (
        (r"(?:www\.|m\.)?google(?:\.[a-z]{2,3}){1,2}", r"/(?:url|imgres)", ("q", "url", "imgrefurl")),
        (r"(?:consent|accounts)\.(?:google|youtube)(?:\.[a-z]{2,3}){1,2}", r"/.*", ("continue", "next")),
        (r"(?:[a-z-]+\.)?(?:facebook|instagram|messenger|threads)\.(?:com|net)", r"/(?:l\.php|flx/warn/?)?", ("u",)),
        (r"[a-z0-9]+\.safelinks\.protection\.outlook\.com", r"/.*", ("url",)),
        (r"out\.reddit\.com", r"/.*", ("url",)),
        (r"(?:www\.)?linkedin\.com", r"/(?:redir/redirect|redir|safety/go)/?", ("url",)),
        (r"slack-redir\.net", r"/link", ("url",)),
        (r"(?:m\.|away\.)?vk\.com", r"/away(?:\.php)?", ("to",)),
        (r"(?:html\.)?duckduckgo\.com", r"/l/?", ("uddg",)),
        (r"t\.umblr\.com", r"/redirect", ("z",)),
        (r"steamcommunity\.com", r"/linkfilter/?", ("u", "url")),
        (r"link\.zhihu\.com", r"/?", ("target",)),
    )
)
"""Host and path, with the parameters that may contain the address."""


def redirect_target(host: str, split: SplitResult) -> str:
    """Return the target of an address on this host, or an empty text if it is not a known redirect."""
    for host_pattern, path, parameters in _REDIRECTS:
        if host_pattern.fullmatch(host) and path.fullmatch(split.path):
            query = parse_qs(split.query.replace("&amp;", "&"))
            return next((query[name][0] for name in parameters if name in query), "")
    return ""
