"""A browser without pages: it keeps cookies as a browser does on loopback, and follows redirects one by one.

`requests` would not send a Secure cookie over plain HTTP; browsers treat loopback as secure and do.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin, urlsplit

import requests


class CookieBrowser:
    """Cookies by host name (ports share them, as in a browser); `history` holds every answer."""

    def __init__(self) -> None:
        self.cookies: dict[str, dict[str, str]] = {}
        self.history: list[requests.Response] = []

    def request(self, method: str, url: str, **options: Any) -> requests.Response:
        """One request with this host's cookies; Set-Cookie headers are kept or dropped as they say."""
        host = urlsplit(url).hostname or ""
        jar = self.cookies.setdefault(host, {})
        headers = dict(options.pop("headers", {}))
        if jar:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in jar.items())
        answer = requests.request(method, url, headers=headers, allow_redirects=False, timeout=30, **options)
        for line in answer.raw.headers.getlist("Set-Cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            if "Max-Age=0" in line:
                jar.pop(name, None)
            else:
                jar[name] = value
        self.history.append(answer)
        return answer

    def follow(self, url: str, *, stop_before: str | None = None) -> requests.Response:
        """GET `url` and every redirect after it; stops at an answer that leads to `stop_before`."""
        answer = self.request("GET", url)
        for _ in range(12):
            if not answer.is_redirect:
                return answer
            target = urljoin(answer.url, answer.headers["Location"])
            if stop_before is not None and target.startswith(stop_before):
                return answer
            answer = self.request("GET", target)
        raise AssertionError("too many redirects")
