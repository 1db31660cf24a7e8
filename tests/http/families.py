"""The rate-limit fields that servers send in practice, by family, and what each must parse to."""

from __future__ import annotations

from ratewise._http.rate_limit_headers import NO_FIELDS, RateLimitFields
from tests.http.telling import Fields, named, quota, says


def read(block: str) -> Fields:
    """Parse fields written as in a response, one per line."""
    return [(name, value.strip()) for name, _, value in (line.strip().partition(":") for line in block.strip().splitlines())]


FAMILIES: list[tuple[str, str, RateLimitFields]] = [
    (
        "IETF -11",
        """
        RateLimit-Policy: "burst";q=100;w=60,"daily";q=1000;w=86400
        RateLimit: "burst";r=50;t=30
        """,
        says(named("burst", 100, 50, 30, window=60), named("daily", 1000, window=86_400)),
    ),
    (
        "IETF -11, tokens and units",
        """
        RateLimit-Policy: bytes;q=65535;qu="content-bytes";w=10, "busy";q=5;qu="concurrent-requests"
        RateLimit: busy;r=2, "bytes";r=60000;t=4;comment="so far"
        """,
        says(named("busy", 5, 2, unit="concurrent-requests"), named("bytes", 65_535, 60_000, 4, window=10, unit="content-bytes")),
    ),
    (
        "IETF -11, partitions",
        """
        RateLimit-Policy: "user";q=100;w=60;pk=:cHsdsRa894==:, "user";q=9;w=60;pk=:YQ==:, "all";q=7
        RateLimit: "user";r=30;t=20;pk=:cHsdsRa894==:, "all";r=1;pk=:Yg:
        """,
        says(named("user;pk=cHsdsRa894==", 100, 30, 20, window=60), named("all;pk=Yg", 7, 1)),
    ),
    (
        "express-rate-limit 8, -08",
        """
        RateLimit: "100-in-15min"; r=99; t=900
        RateLimit-Policy: "100-in-15min"; q=100; w=900; pk=:ZTMwMmNkODU4MTc5:
        """,
        says(named("100-in-15min", 100, 99, 900, window=900)),
    ),
    (
        "Cloudflare",
        """
        Ratelimit: "default";r=50;t=30
        Ratelimit-Policy: "default";q=100;w=60
        """,
        says(named("default", 100, 50, 30, window=60)),
    ),
    (
        "RateLimit alone",
        """
        ratelimit: "default";r=0;t=30
        """,
        says(named("default", None, 0, 30)),
    ),
    (
        "RateLimit-Policy alone",
        """
        ratelimit-policy: "default";q=9;w=1
        """,
        says(named("default", 9, window=1)),
    ),
    (
        "-07",
        """
        RateLimit: limit=100, remaining=50, reset=50
        RateLimit-Policy: 10;w=1, 100;w=60;comment=x
        """,
        says(quota("", 100, 50, 50, window=60)),
    ),
    (
        "-06",
        """
        RateLimit-Limit: 100
        RateLimit-Remaining: 50
        RateLimit-Reset: 50
        RateLimit-Policy: 100;w=60, 1000;w=3600
        """,
        says(quota("", 100, 50, 50, window=60)),
    ),
    (
        "-02",
        """
        RateLimit-Limit: 100, 50;w=1, 100;w=10
        RateLimit-Remaining: 50
        RateLimit-Reset: 5
        """,
        says(quota("", 100, 50, 5, window=10)),
    ),
    (
        "Docker Hub",
        """
        ratelimit-limit: 100;w=21600
        ratelimit-remaining: 76;w=21600
        """,
        says(quota("", 100, 76, window=21_600)),
    ),
    (
        "express-rate-limit 6, both kinds",
        """
        X-RateLimit-Limit: 5
        X-RateLimit-Remaining: 4
        X-RateLimit-Reset: 1445412481
        RateLimit-Limit: 5
        RateLimit-Remaining: 4
        RateLimit-Reset: 60
        RateLimit-Policy: 5;w=60
        """,
        says(quota("", 5, 4, 60, window=60)),
    ),
    (
        "Kong",
        """
        RateLimit-Limit: 20
        RateLimit-Remaining: 17
        RateLimit-Reset: 42
        X-RateLimit-Limit-Minute: 20
        X-RateLimit-Remaining-Minute: 17
        X-RateLimit-Limit-Day: 500
        X-RateLimit-Remaining-Day: 482
        """,
        says(quota("", 20, 17, 42), quota("day", 500, 482, window=86_400), quota("minute", 20, 17, window=60)),
    ),
    (
        "GitHub",
        """
        x-ratelimit-limit: 5000
        x-ratelimit-remaining: 4987
        x-ratelimit-used: 13
        x-ratelimit-reset: 1445412480
        x-ratelimit-resource: core
        """,
        says(quota("", 5000, 4987, 60), bucket="core"),
    ),
    (
        "GitHub, secondary limit",
        """
        retry-after: 60
        x-ratelimit-limit: 30
        x-ratelimit-remaining: 0
        x-ratelimit-reset: 1445412480
        x-ratelimit-resource: search
        """,
        says(quota("", 30, 0, 60), retry_after=60, bucket="search"),
    ),
    (
        "GitLab",
        """
        RateLimit-Limit: 60
        RateLimit-Name: throttle_authenticated_web
        RateLimit-Observed: 67
        RateLimit-Remaining: 0
        RateLimit-Reset: 1445412480
        RateLimit-ResetTime: Wed, 21 Oct 2015 07:28:00 GMT
        Retry-After: 60
        """,
        says(quota("", 60, 0, 60), retry_after=60),
    ),
    (
        "OpenAI",
        """
        x-ratelimit-limit-requests: 10000
        x-ratelimit-limit-tokens: 2000000
        x-ratelimit-remaining-requests: 9999
        x-ratelimit-remaining-tokens: 1999960
        x-ratelimit-reset-requests: 8.64s
        x-ratelimit-reset-tokens: 1ms
        """,
        says(
            quota("requests", 10_000, 9999, 8.64, resolution=0.001, kind="bucket"),
            quota("tokens", 2_000_000, 1_999_960, 0.001, resolution=0.001, unit="tokens", kind="bucket"),
        ),
    ),
    (
        "OpenAI, refused",
        """
        retry-after: 21
        retry-after-ms: 20412
        x-should-retry: true
        x-ratelimit-limit-project-tokens: 30000
        x-ratelimit-remaining-project-tokens: 0
        x-ratelimit-reset-project-tokens: 6m0s
        """,
        says(quota("project-tokens", 30_000, 0, 360, resolution=0.001, unit="tokens", kind="bucket"), retry_after=20.412),
    ),
    (
        "Azure OpenAI",
        """
        retry-after-ms: 500
        x-ratelimit-remaining-requests: 9
        x-ratelimit-remaining-tokens: -1
        x-ratelimit-reset-tokens: 0
        """,
        says(quota("requests", None, 9), retry_after=0.5),
    ),
    (
        "Groq",
        """
        x-ratelimit-limit-audio-seconds: 7200
        x-ratelimit-remaining-audio-seconds: 7190
        x-ratelimit-reset-audio-seconds: 2m59.56s
        """,
        says(quota("audio-seconds", 7200, 7190, 179.56, resolution=0.001, unit="seconds", kind="bucket")),
    ),
    (
        "Cerebras",
        """
        x-ratelimit-limit-requests-day: 14400
        x-ratelimit-remaining-requests-day: 14399
        x-ratelimit-reset-requests-day: 33011.382867
        x-ratelimit-limit-tokens-minute: 60000
        x-ratelimit-remaining-tokens-minute: 59000
        x-ratelimit-reset-tokens-minute: 11.382867
        """,
        says(
            quota("requests-day", 14_400, 14_399, 33011.382867, resolution=0.001, window=86_400),
            quota("tokens-minute", 60_000, 59_000, 11.382867, resolution=0.001, window=60, unit="tokens"),
        ),
    ),
    (
        "Anthropic",
        """
        anthropic-ratelimit-requests-limit: 1000
        anthropic-ratelimit-requests-remaining: 999
        anthropic-ratelimit-requests-reset: 2015-10-21T07:27:01Z
        anthropic-ratelimit-tokens-limit: 80000
        anthropic-ratelimit-tokens-remaining: 0
        anthropic-ratelimit-tokens-reset: 2015-10-21T07:28:00Z
        anthropic-ratelimit-input-tokens-limit: 40000
        anthropic-ratelimit-input-tokens-remaining: 40000
        anthropic-ratelimit-input-tokens-reset:
        """,
        says(
            quota("input-tokens", 40_000, 40_000, unit="tokens", kind="bucket"),
            quota("requests", 1000, 999, 1, kind="bucket"),
            quota("tokens", 80_000, 0, 60, unit="tokens", kind="bucket"),
        ),
    ),
    (
        "Anthropic, what is no limit of requests",
        """
        anthropic-ratelimit-unified-status: allowed
        anthropic-ratelimit-unified-reset: 1445412480
        anthropic-ratelimit-unified-5h-utilization: 0.2
        """,
        NO_FIELDS,
    ),
    (
        "Azure Resource Manager",
        """
        x-ms-ratelimit-remaining-subscription-reads: 11999
        x-ms-ratelimit-remaining-tenant-writes: 1199
        x-ms-ratelimit-remaining-resource: Microsoft.Compute/PutVM3Min;239,Microsoft.Compute/PutVM30Min;1198
        x-ms-retry-after-ms: 1500
        """,
        says(
            quota("subscription-reads", None, 11_999),
            quota("tenant-writes", None, 1199),
            quota("Microsoft.Compute/PutVM3Min", None, 239),
            quota("Microsoft.Compute/PutVM30Min", None, 1198),
            retry_after=1.5,
        ),
    ),
    (
        "Discord",
        """
        X-RateLimit-Limit: 5
        X-RateLimit-Remaining: 0
        X-RateLimit-Reset: 1445412421.457
        X-RateLimit-Reset-After: 1.457
        X-RateLimit-Bucket: abcd1234
        X-RateLimit-Scope: user
        """,
        says(quota("", 5, 0, 1.457, resolution=0.001), bucket="abcd1234"),
    ),
    (
        "Discord, everything",
        """
        Retry-After: 65
        X-RateLimit-Global: true
        X-RateLimit-Scope: global
        """,
        says(retry_after=65, everyone=True),
    ),
    (
        "Shopify",
        """
        X-Shopify-Shop-Api-Call-Limit: 32/40
        Retry-After: 2.0
        """,
        says(quota("", 40, 8, 16, resolution=0.5, kind="bucket"), retry_after=2),
    ),
    (
        "Shopify Plus, just full",
        """
        HTTP_X_SHOPIFY_SHOP_API_CALL_LIMIT: 1/400
        X-Shopify-Shop-Api-Call-Limit: 401/400
        """,
        says(quota("", 400, 0, 20.05, resolution=0.05, kind="bucket")),
    ),
    (
        "X",
        """
        x-rate-limit-limit: 900
        x-rate-limit-remaining: 899
        x-rate-limit-reset: 1445413320
        """,
        says(quota("", 900, 899, 900)),
    ),
    (
        "Okta, too many at once",
        """
        X-Rate-Limit-Limit: 0
        X-Rate-Limit-Remaining: 0
        X-Rate-Limit-Reset: 1445412480
        """,
        says(quota("", 0, 0, 60)),
    ),
    (
        "Jira",
        """
        X-RateLimit-Limit: 350
        X-RateLimit-Remaining: 0
        X-RateLimit-Reset: 2015-10-21T07:28Z
        X-RateLimit-NearLimit: true
        RateLimit-Reason: jira-burst-based
        Retry-After: 47
        """,
        says(quota("", 350, 0, 60, resolution=60), retry_after=47),
    ),
    (
        "Jira Data Center",
        """
        X-RateLimit-Limit: 70
        X-RateLimit-Remaining: 69
        X-RateLimit-FillRate: 5
        X-RateLimit-Interval-Seconds: 1
        """,
        says(quota("", 70, 69)),
    ),
    (
        "Zendesk",
        """
        x-rate-limit: 700
        ratelimit-limit: 700
        x-rate-limit-remaining: 699
        ratelimit-remaining: 699
        ratelimit-reset: 41
        zendesk-ratelimit-tickets-index: total=100; remaining=99; resets=40
        """,
        says(quota("", 700, 699, 41), quota("tickets-index", 100, 99, 40)),
    ),
    (
        "HubSpot",
        """
        X-HubSpot-RateLimit-Daily: 250000
        X-HubSpot-RateLimit-Daily-Remaining: 249000
        X-HubSpot-RateLimit-Secondly: 19
        X-HubSpot-RateLimit-Secondly-Remaining: 18
        X-HubSpot-RateLimit-Max: 190
        X-HubSpot-RateLimit-Remaining: 189
        X-HubSpot-RateLimit-Interval-Milliseconds: 10000
        """,
        says(
            quota("", 190, 189, window=10), quota("daily", 250_000, 249_000, window=86_400), quota("secondly", 19, 18, window=1)
        ),
    ),
    (
        "Reddit",
        """
        X-Ratelimit-Used: 2
        X-Ratelimit-Remaining: 598.0
        X-Ratelimit-Reset: 594
        """,
        says(quota("", None, 598, 594)),
    ),
    (
        "Salesforce",
        """
        Sforce-Limit-Info: api-usage=18/5000; per-app-api-usage=17/250(appName=sample-app)
        """,
        says(quota("api-usage", 5000, 4982), quota("per-app-api-usage", 250, 233)),
    ),
    (
        "Brevo",
        """
        x-sib-ratelimit-limit: 100
        x-sib-ratelimit-remaining: 99
        x-sib-ratelimit-reset: 17
        """,
        says(quota("", 100, 99, 17)),
    ),
    (
        "Brevo, refused",
        """
        x-sib-ratelimit-reset: 17
        """,
        says(quota("", None, None, 17)),
    ),
    (
        "LiteLLM: its own and its provider's",
        """
        x-ratelimit-limit-requests: 10
        x-ratelimit-remaining-requests: 9
        llm_provider-x-ratelimit-limit-requests: 5000
        llm_provider-x-ratelimit-remaining-requests: 4999
        """,
        says(quota("requests", 10, 9), quota("llm_provider-x-requests", 5000, 4999)),
    ),
    (
        "Slack",
        """
        Retry-After: 30
        """,
        says(retry_after=30),
    ),
    (
        "Riot: pairs that nobody else has",
        """
        X-App-Rate-Limit: 100:120
        X-App-Rate-Limit-Count: 1:120
        """,
        NO_FIELDS,
    ),
    (
        "lemlist",
        """
        X-RateLimit-Reset: Wed Oct 21 2015 07:28:00 GMT+0000 (Coordinated Universal Time)
        """,
        NO_FIELDS,
    ),
    (
        "MailerLite",
        """
        X-RateLimit-Limit: 60
        X-RateLimit-Remaining: 5
        X-RateLimit-Reset: 2015-10-21 07:28:00
        """,
        says(quota("", 60, 5)),
    ),
]
