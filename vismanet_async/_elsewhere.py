"""What users of other libraries look for here: what to write instead, by the name that they know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CALLS", "CLIENT", "POOL"]

_OPTIONS: Final = "that is an option: `.with_options({})` of what this returns."
CALLS: Final[Mapping[str, str]] = {
    "headers": _OPTIONS.format("headers={...}"),
    "extra_headers": _OPTIONS.format("headers={...}"),
    "params": "parameters have names of their own here; newer ones go into `.with_options(extra_query={...})`.",
    "extra_query": _OPTIONS.format("extra_query={...}"),
    "page": "pages are fetched as they are needed: iterate, or `.pages()`.",
    "page_number": "pages are fetched as they are needed: iterate, or `.pages()`.",
    "timeout": "write timeout_seconds.",
    "max_results": "write limit.",
    "top": "write limit.",
    "completeness": _OPTIONS.format("completeness=..."),
    "background": "give the call to `visma.jobs.submit(...)`.",
    "max_retries": "VismaNet(max_attempts=...) says how often a call is sent at most.",
}
"""Of the methods of resources."""

_OF_THE_POOL: Final = "that belongs to the connections: give `pool=SessionPool({})`."
_CONNECTOR: Final = (
    "a session of aiohttp's own could send a write twice; what its connector takes goes into "
    "`pool=SessionPool(connector_options={...})`."
)
CLIENT: Final[Mapping[str, str]] = {
    **dict.fromkeys(("session", "connector", "http_client", "client_session"), _CONNECTOR),
    **dict.fromkeys(("max_retries", "retries", "retry", "retry_policy"), "write max_attempts, 1 for no repetition."),
    **dict.fromkeys(("verify", "verify_ssl", "cert", "cafile"), "write ssl, with the authorities to trust."),
    **dict.fromkeys(
        ("max_connections", "limit_per_host", "connection_limit"), _OF_THE_POOL.format("max_connections=...")
    ),
    **dict.fromkeys(("proxies", "https_proxy", "http_proxy"), "write proxy."),
    **dict.fromkeys(("client_id", "client_secret", "tenant_id"), "it is a part of ClientCredentials(...)."),
    **dict.fromkeys(("token", "access_token", "bearer"), "give StaticToken(...) as the first argument."),
    "user_agent": _OF_THE_POOL.format("user_agent=..."),
}
"""Of `VismaNet`."""

POOL: Final[Mapping[str, str]] = {
    "connector": "what aiohttp's connector takes goes into connector_options={...}.",
    "session": "a session of aiohttp's own could send a write twice; see connector_options.",
    "limit": "write max_connections.",
    "verify": "write ssl, with the authorities to trust.",
}
"""Of `SessionPool`."""
