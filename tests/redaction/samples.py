"""Samples: redactors, secrets in all formats, secret names, and texts that would make a careless redactor slow."""

from __future__ import annotations

from typing import Any

import pytest

from ratewise import Redactor
from ratewise._redaction.masker import Masker


def masker(**settings: Any) -> Masker:
    """The masker of a `Redactor` with these settings."""
    return Redactor(**settings)._masker


FULL, PARTIAL, HASH = masker(), masker(mask_style="partial"), masker(mask_style="hash")
BARE = masker(defaults=False)

SLACK = "T0ABCDEFG/B0ABCDEFG/aBcDeFgHiJkLmNoPqRsTuVwX"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA7bq\nq1==\n-----END RSA PRIVATE KEY-----"
TOKENS = {
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N",
    "jwt unsigned": "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxMjM0In0.",
    "jwe": "eyJhbGciOiJSU0EtT0FFUCJ9.OKOawDo13gRp.48V1_ALb6US0.5eym8TW_c8.XFBoMYUZodetZd",
    "jwe direct": "eyJhbGciOiJkaXIifQ..48V1_ALb6US0.5eym8TW_c8.XFBoMYUZodetZd",
    "signed cookie": "eyJ1c2VyIjoxfQ.ZxYzAA.Pq1dGhpcyBpcyBhIHNpZ25hdHVyZQ",
    "github": "ghp_" + "aB3d" * 9,
    "github oauth": "gho_" + "aB3d" * 9,
    "github user": "ghu_" + "aB3d" * 9,
    "github server": "ghs_" + "aB3d" * 9,
    "github refresh": "ghr_" + "aB3d" * 19,
    "github fine-grained": "github_pat_" + "aB3_" * 20,
    "gitlab": "glpat-aB3dE_gH1jKlM-oPqRsT",
    "gitlab deploy": "gldt-aB3dE_gH1jKlM-oPqRsT",
    "gitlab routable": "glpat-aB3dE_gH1jKlM-oPqRsT.01.0a1b2c3d4",
    "gitlab agent": "glagent-" + "aB3d" * 12,
    "aws": "AKIAIOSFODNN7EXAMPLE",
    "aws temporary": "ASIAIOSFODNN7EXAMPLE",
    "slack bot": "xoxb-123456789012-123456789012-aBcDeFgHiJkL",
    "slack app": "xapp-1-A0ABC-123-" + "0a1b" * 8,
    "slack cookie": "xoxd-aBcDeFgH%2FiJkL%2BmNoP%3D",
    "openai": "sk-" + "aB3d" * 12,
    "openai project": "sk-proj-aB3_" + "aB-d" * 12,
    "anthropic": "sk-ant-api03-" + "aB3d" * 12,
    "stripe": "sk_live_" + "aB3d" * 6,
    "stripe restricted": "rk_test_" + "aB3d" * 6,
    "stripe webhook": "whsec_aB3d/eFgH+iJkLmNoP==",
    "google": "AIza" + "aB3_-" * 7,
    "google access": "ya29.a0AfB_byC-" + "aB3d" * 9,
    "google service": "ya29.c.b0Aaekm1" + "aB3d" * 9,
    "google client": "GOCSPX-" + "aB3d" * 7,
    "npm": "npm_" + "aB3d" * 9,
    "hugging face": "hf_" + "aBcD" * 9,
    "pypi": "pypi-AgEIcHlwaS5vcmc" + "aB3d" * 12,
    "sendgrid": "SG.aB3dEfGhIjKlMnOpQrStUv." + "aB3d" * 10,
    "twilio": "SK" + "0a1b" * 8,
    "telegram": "123456789:AAE" + "aB3_-" * 6 + "xy",
    "pem": PEM,
    "pem encrypted": PEM.replace("RSA PRIVATE", "ENCRYPTED PRIVATE"),
    "pgp": PEM.replace("RSA PRIVATE KEY", "PGP PRIVATE KEY BLOCK"),
}
CREDENTIALS = {
    "bearer": ("Bearer ", "abc_def-gh.ij~kl+mn/op=="),
    "bearer in lower case": ("bearer ", "aB3dEfGh"),
    "bearer in capitals": ("BEARER \t", "aB3dEfGh"),
    "basic": ("Basic ", "dXNlcjpwYXNzd29yZA=="),
    "slack hook": ("https://hooks.slack.com/services/", SLACK),
    "slack workflow": ("https://hooks.slack.com/triggers/", SLACK),
    "slack hook, encoded": ("https://hooks.slack.com/services/", SLACK.replace("/", "%2F")),
    "discord hook": ("https://discord.com/api/webhooks/123456789/", "aB3dEfGh_IjKlMnOp-QrSt"),
    "discord hook of a version": ("https://discordapp.com/api/v10/webhooks/123456789/", "aB3dEfGh_IjKlMnOp-QrSt"),
}

HEADERS = """
aeg-sas-key api-key api-sign apikey auth authentication authentication-info authorization cb-access-key cb-access-sign
cf-access-client-secret cf-access-jwt-assertion cookie cookie2 dd-api-key dd-application-key deploy-token dpop
fastly-key job-token ocp-apim-subscription-key ok-access-key private-token proxy-auth proxy-authentication-info
proxy-authorization session set-cookie set-cookie2 stripe-signature x-access-key x-access-token x-amz-security-token
x-amzn-oidc-accesstoken x-amzn-oidc-data x-api-key x-apikey x-appwrite-key x-auth x-auth-key x-auth-pass x-auth-token
x-authentication x-aws-ec2-metadata-token x-consul-token x-cookie x-csrf-token x-csrftoken x-figma-token
x-firebase-appcheck x-functions-key x-gitlab-token x-goog-api-key x-goog-iam-authorization-token
x-goog-iap-jwt-assertion x-honeycomb-team x-hub-signature x-hub-signature-256 x-insert-key x-jwt x-jwt-assertion
x-ms-authorization-auxiliary x-ms-client-principal x-pin x-plex-token x-registry-auth x-session x-session-id
x-shopify-access-token x-shopify-hmac-sha256 x-slack-signature x-vault-token x-xsrf-token x-zumo-auth
""".split()
PARAMETERS = """
accesskey accesstoken accountkey apikey apitoken appkey assertion auth authcode authenticitytoken authkey authorization
authorizationcode authtoken awsaccesskeyid backupcodes bearer bearertoken cardnumber clientassertion clientsecret code
codeverifier connectionstring cookies credential credentials creditcard creditcardnumber csrf csrfmiddlewaretoken
csrftoken cvc cvv dbpass devicecode devicetoken hmac idtoken idtokenhint jsessionid jwt key mfacode mysqlpwd
oauthverifier otp otpcode pass passphrase passwd password phpsessid pin privatekey pw pwd recoverycode recoverycodes
refreshtoken samlrequest samlresponse sas secret secretkey securitytoken session sessionid sessiontoken sharedaccesskey
sid sig sign signature ssn subscriptionkey token totp totpcode usertoken verificationcode xamzcredential
xamzsecuritytoken xamzsignature xgoogcredential xgoogsignature xsrftoken
""".split()

tokens = pytest.mark.parametrize("token", TOKENS.values(), ids=list(TOKENS))
styles = pytest.mark.parametrize("redactor", [FULL, PARTIAL, HASH], ids=["full", "partial", "hash"])


# Work: a regular expression that reads a run of characters again for each of them does 64 times as much for eight times as
# many. Counted is the time of this thread alone, and the best of some measurements, and the bound is far from both.


HOSTILE = {
    "jwt": "eyJ",
    "jwt dashes": "-eyJ",
    "jwt escapes": r"\neyJaaaaa",
    "jwt percent": "%3DeyJaaaaa",
    "jwt dots": "eyJaaaaa.",
    "github": "ghp_",
    "gitlab": "glpat-.",
    "aws": "AKIA",
    "slack": "xoxb-",
    "hooks": "hooks.slack.com/services/",
    "discord": "discord.com/api/v1/webhooks/1",
    "sk": "sk-",
    "stripe": "sk_live_",
    "google": "AIza",
    "sendgrid": "SG.aaaaaaaa",
    "sendgrid dashes": "-SG.aaaaaaaa-",
    "telegram": "12345678:AA",
    "digits": "1234567890",
    "bearer": "Bearer ",
    "bearer blanks": "Bearer \t \t",
    "basic": "basic a",
    "userinfo": "://a:",
    "userinfo at": "://@",
    "slashes": "/",
    "punctuation": "//,",
    "pem begin": "-----BEGIN ",
    "pem header": "-----BEGIN PRIVATE KEY-----",
    "pem ends": "-----BEGIN PRIVATE KEY----------END ",
    "pem label": "-----BEGIN A PRIVATE KEY ",
    "semicolons": ";",
    "semicolon values": ";a",
    "semicolon names": "a;b=",
    "equals": "=",
    "ampersands": "&a=",
    "percent": "%25",
    "angle brackets": "<",
    "question marks": "?",
    "nested": "?a=%3Fb%3D",
    "colons": "a:",
    "schemes": "a+",
    "at": "a@",
}
