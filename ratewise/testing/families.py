"""What servers say of a limit: the header fields of each provider, made from a `Quota`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, Callable, Union

from .._http.dates import http_date_of
from .limits import SECOND, Quota, up
from .server import Reply

Headers = Sequence[tuple[str, str]]
"""Pairs of name and value."""

MILLISECOND = 10**6
"""Nanoseconds."""

PERIODS = {1: "Second", 60: "Minute", 3600: "Hour", 86_400: "Day"}
"""The names that Kong gives to windows, by their length in seconds."""


Tells = Callable[[Quota], Union[Reply, Mapping[str, str], Headers]]
"""A function of the quota just after a request: returns the header fields of the answer, or all of it."""


def x_ratelimit(quota: Quota) -> Headers:
    """X-RateLimit-Limit, -Remaining and -Reset in seconds since the epoch; Retry-After."""
    return [*_three("X-RateLimit-", quota, quota.reset_at), *retry_after(quota)]


def x_ratelimit_delta(quota: Quota) -> Headers:
    """X-RateLimit-Limit, -Remaining and -Reset in seconds from now; Retry-After."""
    return [*_three("X-RateLimit-", quota, quota.reset_after), *retry_after(quota)]


def ietf(quota: Quota) -> Headers:
    """RateLimit and RateLimit-Policy of draft-ietf-httpapi-ratelimit-headers-11, without Retry-After."""
    window = f";w={quota.per // SECOND}" if _whole(quota) else ""  # a window has whole seconds
    unit = "" if quota.unit == "requests" else f';qu="{quota.unit}"'
    told = f'"default";r={quota.remaining};t={quota.reset_after}'
    return [("RateLimit-Policy", f'"default";q={quota.limit}{window}{unit}'), ("RateLimit", told)]


def ietf_07(quota: Quota) -> Headers:
    """RateLimit as a Dictionary and RateLimit-Policy, of draft -07; Retry-After."""
    told = f"limit={quota.limit}, remaining={quota.remaining}, reset={quota.reset_after}"
    return [("RateLimit", told), *_policy(quota), *retry_after(quota)]


def ietf_06(quota: Quota) -> Headers:
    """RateLimit-Limit, -Remaining and -Reset in seconds from now, and RateLimit-Policy, of drafts up to -06; Retry-After."""
    return [*_three("RateLimit-", quota, quota.reset_after), *_policy(quota), *retry_after(quota)]


def github(quota: Quota) -> Headers | Reply:
    """x-ratelimit-* with -used and -resource, the reset in seconds since the epoch; refuses with 403, without Retry-After."""
    told = _three("x-ratelimit-", quota, quota.reset_at)
    told += [("x-ratelimit-used", str(quota.limit - quota.remaining)), ("x-ratelimit-resource", "core")]
    return _refused(quota, told, {"message": "API rate limit exceeded for user ID 1."}, 403)


def github_secondary(quota: Quota) -> Headers | Reply:
    """GitHub's secondary limit: a 403 with retry-after, and no other field."""
    return _refused(quota, _lower(retry_after(quota)), {"message": "You have exceeded a secondary rate limit."}, 403)


def gitlab(quota: Quota) -> Headers:
    """RateLimit-* with the reset in seconds since the epoch and as an HTTP-date; Retry-After."""
    told = _three("RateLimit-", quota, quota.reset_at)
    told += [("RateLimit-Observed", str(quota.limit - quota.remaining)), ("RateLimit-Name", "throttle_authenticated_api")]
    told.append(("RateLimit-ResetTime", _http_date(quota.reset_at)))
    return [*told, *retry_after(quota)]


def cloudflare(quota: Quota) -> Headers:
    """Ratelimit and Ratelimit-Policy, as the IETF's; Retry-After."""
    return [*((name.capitalize().replace("-p", "-P"), value) for name, value in ietf(quota)), *retry_after(quota)]


def openai(quota: Quota) -> Headers | Reply:
    """x-ratelimit-*-requests with the reset as a Go duration; retry-after-ms and retry-after."""
    told = [("x-ratelimit-limit-requests", str(quota.limit)), ("x-ratelimit-remaining-requests", str(quota.remaining))]
    told.append(("x-ratelimit-reset-requests", go_duration(up(quota.reset, MILLISECOND))))
    error = {"message": "Rate limit reached", "type": "requests", "code": "rate_limit_exceeded"}
    return _refused(quota, [*told, *_milliseconds("retry-after-ms", quota)], {"error": error})


def azure_openai(quota: Quota) -> Headers | Reply:
    """x-ratelimit-remaining-requests, and tokens that are unknown; retry-after-ms and retry-after."""
    told = [("x-ratelimit-remaining-requests", str(quota.remaining))]
    told += [("x-ratelimit-remaining-tokens", "-1"), ("x-ratelimit-reset-tokens", "0")]
    return _refused(quota, [*told, *_milliseconds("retry-after-ms", quota)], {"error": {"code": "429"}})


def anthropic(quota: Quota) -> Headers | Reply:
    """anthropic-ratelimit-requests-* with the time of a full quota in RFC 3339; retry-after."""
    full = _utc(quota.reset_at, "%Y-%m-%dT%H:%M:%SZ")
    told = [("limit", str(quota.limit)), ("remaining", str(quota.remaining)), ("reset", full)]
    fields = [*((f"anthropic-ratelimit-requests-{name}", value) for name, value in told), *_lower(retry_after(quota))]
    error = {"type": "rate_limit_error", "message": "This request would exceed your rate limit."}
    return _refused(quota, fields, {"type": "error", "error": error})


def azure_arm(quota: Quota) -> Headers:
    """x-ms-ratelimit-remaining-subscription-reads; x-ms-retry-after-ms and Retry-After. There is no reset."""
    told = ("x-ms-ratelimit-remaining-subscription-reads", str(quota.remaining))
    return [told, *_milliseconds("x-ms-retry-after-ms", quota)]


def stripe(quota: Quota) -> Headers | Reply:
    """Only that to retry is worth while, and why it was refused."""
    told = [] if quota.accepted else [("Stripe-Should-Retry", "true"), ("Stripe-Rate-Limited-Reason", "global-rate")]
    return _refused(quota, told, {"error": {"type": "invalid_request_error", "code": "rate_limit"}})


def slack(quota: Quota) -> Headers | Reply:
    """Only Retry-After, in whole seconds."""
    return _refused(quota, retry_after(quota), {"ok": False, "error": "ratelimited"})


def discord(quota: Quota) -> Headers | Reply:
    """X-RateLimit-* with the reset in decimal seconds, since the epoch and from now, and the bucket; Retry-After."""
    told = _three("X-RateLimit-", quota, _decimal(quota.wall + quota.reset))
    told += [("X-RateLimit-Reset-After", _decimal(quota.reset)), ("X-RateLimit-Bucket", "abcd1234")]
    told += [] if quota.accepted else [("X-RateLimit-Scope", "user"), *retry_after(quota)]
    body = {"message": "You are being rate limited.", "retry_after": float(_decimal(quota.wait)), "global": False}
    return _refused(quota, told, body)


def shopify(quota: Quota) -> Headers | Reply:
    """X-Shopify-Shop-Api-Call-Limit, the level of a bucket that drains in 20 s; Retry-After with a decimal point."""
    told = [("X-Shopify-Shop-Api-Call-Limit", f"{quota.limit - quota.remaining}/{quota.limit}")]
    told += [] if quota.accepted else [("Retry-After", f"{up(quota.wait)}.0")]
    return _refused(quota, told, {"errors": "Exceeded 2 calls per second for api client."})


def x(quota: Quota) -> Headers:
    """x-rate-limit-*, with a hyphen and the reset in seconds since the epoch, without Retry-After."""
    return _three("x-rate-limit-", quota, quota.reset_at)


def okta(quota: Quota) -> Headers:
    """X-Rate-Limit-* with the reset in seconds since the epoch; where requests at a time are limited, a refusal says 0 of 0."""
    if not quota.accepted and quota.unit != "requests":
        quota = quota._replace(limit=0, remaining=0)
    return _three("X-Rate-Limit-", quota, quota.reset_at)


def jira(quota: Quota) -> Headers:
    """X-RateLimit-* with the reset in ISO 8601, to the minute, and whether less than 20 % remains; Retry-After and the reason."""
    reset = _utc(up(quota.wall + quota.reset, 60 * SECOND) * 60, "%Y-%m-%dT%H:%MZ")
    told = [*_three("X-RateLimit-", quota, reset), ("X-RateLimit-NearLimit", str(5 * quota.remaining < quota.limit).lower())]
    return told if quota.accepted else [*told, ("RateLimit-Reason", "jira-burst-based"), *retry_after(quota)]


def zendesk(quota: Quota) -> Headers:
    """X-Rate-Limit and ratelimit-*, the reset in seconds from now; Retry-After."""
    told = [("X-Rate-Limit", str(quota.limit)), ("X-Rate-Limit-Remaining", str(quota.remaining))]
    return [*told, *_three("ratelimit-", quota, quota.reset_after), *retry_after(quota)]


def hubspot(quota: Quota) -> Headers | Reply:
    """X-HubSpot-RateLimit-Max, -Remaining and -Interval-Milliseconds. There is no reset."""
    told = {"Max": quota.limit, "Remaining": quota.remaining, "Interval-Milliseconds": up(quota.per, MILLISECOND)}
    fields = [(f"X-HubSpot-RateLimit-{name}", str(value)) for name, value in told.items()]
    return _refused(quota, fields, {"status": "error", "errorType": "RATE_LIMIT", "policyName": "TEN_SECONDLY_ROLLING"})


def notion(quota: Quota) -> Headers | Reply:
    """Only Retry-After, in whole seconds."""
    return _refused(quota, retry_after(quota), {"object": "error", "status": 429, "code": "rate_limited"})


def reddit(quota: Quota) -> Headers:
    """X-Ratelimit-Used, -Remaining with a decimal point, and -Reset in seconds from now."""
    told = {"Used": quota.limit - quota.remaining, "Remaining": float(quota.remaining), "Reset": quota.reset_after}
    return [(f"X-Ratelimit-{name}", str(value)) for name, value in told.items()]


def salesforce(quota: Quota) -> Headers | Reply:
    """Sforce-Limit-Info, the used part of the limit; refuses with 403. There is no reset."""
    told = [("Sforce-Limit-Info", f"api-usage={quota.limit - quota.remaining}/{quota.limit}")]
    return _refused(quota, told, [{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}], 403)


def google(quota: Quota) -> Headers | Reply:
    """No header fields: the body of a refusal has a RetryInfo with the delay."""
    retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{quota.retry_after}s"}
    return _refused(quota, [], {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": [retry]}})


def docker(quota: Quota) -> Headers:
    """ratelimit-limit and ratelimit-remaining, both with the window. There is no reset."""
    window = f";w={quota.per // SECOND}" if _whole(quota) else ""
    return [("ratelimit-limit", f"{quota.limit}{window}"), ("ratelimit-remaining", f"{quota.remaining}{window}")]


def kong(quota: Quota) -> Headers:
    """RateLimit-* with the reset in seconds from now, and X-RateLimit-* by the name of the window; Retry-After."""
    told = _three("RateLimit-", quota, quota.reset_after)
    name = PERIODS.get(quota.per // SECOND) if _whole(quota) else None
    if name is not None:
        told += [(f"X-RateLimit-Limit-{name}", str(quota.limit)), (f"X-RateLimit-Remaining-{name}", str(quota.remaining))]
    return [*told, *retry_after(quota)]


def brevo(quota: Quota) -> Headers:
    """x-sib-ratelimit-* with the reset in seconds from now; only that in a refusal."""
    told = _three("x-sib-ratelimit-", quota, quota.reset_after)
    return told if quota.accepted else told[-1:]


def lemlist(quota: Quota) -> Headers:
    """X-RateLimit-* with the reset as JavaScript writes a date, which is no format of HTTP; Retry-After."""
    reset = _utc(quota.reset_at, "%a %b %d %Y %H:%M:%S GMT+0000 (Coordinated Universal Time)")
    return [*_three("X-RateLimit-", quota, reset), *retry_after(quota)]


def mailerlite(quota: Quota) -> Headers:
    """X-RateLimit-* with the reset as a time without a zone; X-RateLimit-Retry-After."""
    told = _three("X-RateLimit-", quota, _utc(quota.reset_at, "%Y-%m-%d %H:%M:%S"))
    return [*told, *((f"X-RateLimit-{name}", value) for name, value in retry_after(quota))]


def retry_after(quota: Quota) -> list[tuple[str, str]]:
    """Only Retry-After, in whole seconds, in refusals."""
    return [] if quota.accepted else [("Retry-After", str(quota.retry_after))]


def retry_after_date(quota: Quota) -> Headers:
    """Only Retry-After, as an HTTP-date, in refusals."""
    return [] if quota.accepted else [("Retry-After", _http_date(up(quota.wall + quota.wait)))]


def nothing(quota: Quota) -> Headers:
    """No header fields."""
    return []


FAMILIES: Mapping[str, Tells] = {
    "x-ratelimit": x_ratelimit,
    "x-ratelimit-delta": x_ratelimit_delta,
    "ietf": ietf,
    "ietf-07": ietf_07,
    "ietf-06": ietf_06,
    "github": github,
    "github-secondary": github_secondary,
    "gitlab": gitlab,
    "cloudflare": cloudflare,
    "openai": openai,
    "azure-openai": azure_openai,
    "anthropic": anthropic,
    "azure-arm": azure_arm,
    "stripe": stripe,
    "slack": slack,
    "discord": discord,
    "shopify": shopify,
    "x": x,
    "okta": okta,
    "jira": jira,
    "zendesk": zendesk,
    "hubspot": hubspot,
    "notion": notion,
    "reddit": reddit,
    "salesforce": salesforce,
    "google": google,
    "docker": docker,
    "kong": kong,
    "brevo": brevo,
    "lemlist": lemlist,
    "mailerlite": mailerlite,
    "retry-after": retry_after,
    "retry-after-date": retry_after_date,
    "nothing": nothing,
}
"""The families by name."""


def go_duration(milliseconds: int) -> str:
    """Format a duration as Go's `time.Duration` does: "52ms", "1.02s", "6m0s"."""
    if 0 < milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{rest // 1000}.{rest % 1000:03}".rstrip("0").rstrip(".") + "s"
    return (f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else "") + seconds


def _three(prefix: str, quota: Quota, reset: object) -> list[tuple[str, str]]:
    """Return limit, remaining and reset, under a common prefix."""
    names = ("limit", "remaining", "reset") if prefix.islower() else ("Limit", "Remaining", "Reset")
    return [(prefix + name, str(value)) for name, value in zip(names, (quota.limit, quota.remaining, reset))]


def _policy(quota: Quota) -> Headers:
    """Return RateLimit-Policy as drafts -03 to -07 have it: a quota and its window."""
    return [("RateLimit-Policy", f"{quota.limit};w={quota.per // SECOND}")] if _whole(quota) else []


def _milliseconds(name: str, quota: Quota) -> Headers:
    """Return the wait of a refusal in milliseconds, under this name, and in seconds."""
    return [] if quota.accepted else [(name, str(up(quota.wait, MILLISECOND))), *_lower(retry_after(quota))]


def _refused(quota: Quota, headers: Headers, body: Any, status: int = 429) -> Headers | Reply:
    """Return header fields, and for a refusal a JSON body and a status too."""
    if quota.accepted:
        return headers
    return Reply(status, (*headers, ("Content-Type", "application/json")), json.dumps(body).encode())


def _lower(headers: Headers) -> Headers:
    return [(name.lower(), value) for name, value in headers]


def _whole(quota: Quota) -> bool:
    """Whether the limit has a window of whole seconds, as the fields of several families need it."""
    return quota.unit == "requests" and quota.per % SECOND == 0


def _decimal(nanoseconds: int) -> str:
    """Return seconds with three decimals, rounded up."""
    milliseconds = up(nanoseconds, MILLISECOND)
    return f"{milliseconds // 1000}.{milliseconds % 1000:03}"


def _utc(seconds: int, form: str) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime(form)


def _http_date(seconds: int) -> str:
    return http_date_of(seconds).decode()
