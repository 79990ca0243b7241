# SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
"""Makes gcs_post.json: V4 POST forms as google-cloud-storage makes them, with its clock frozen."""

import json
import random

import google.cloud.storage
from google.cloud.storage import _signing, client as client_module
from google.oauth2 import service_account

import shared

RNG = random.Random(20240604)

FIELDS = [
    ("Content-Type", "image/png"),
    ("content-disposition", "attachment; filename=\"räksmörgås 🚀.png\""),
    ("cache-control", "no-cache"),
    ("success_action_status", "201"),
    ("success_action_redirect", "https://example.com/done?a=b&c=d"),
    ("x-goog-meta-owner", "tab\there \\ \"quoted\" / ü 日本"),
    ("x-goog-meta-control", "\u0001\u001f\u007f\u0080\u2028"),
    ("acl", "projectPrivate"),
    ("x-ignore-note", "left out"),
]


def some_form():
    """Steps that build a form. Each is [kind, ..] and is read by the test in the same order."""
    steps = []
    for name, value in RNG.sample(FIELDS, RNG.randint(0, 5)):
        steps.append(["field", name, value])
    if RNG.random() < 0.8:
        low = RNG.choice([0, 1, 1024])
        steps.append(["range", low, low + RNG.choice([0, 1, 5 << 20, 5 << 40])])
    if RNG.random() < 0.4:
        steps.append(["starts-with", "x-goog-meta-note", RNG.choice(["", "ab/ü", "$"])])
    # The library writes the conditions of fields itself, after all others.
    return steps


def make(client, key):
    bucket = RNG.choice(["bucket", "my_bucket-7"])
    now, expires = shared.some_time(RNG), shared.some_expires(RNG)
    steps = some_form()
    fields = {step[1]: step[2] for step in steps if step[0] == "field"}
    conditions = []
    for step in steps:
        if step[0] == "range":
            conditions.append(["content-length-range", step[1], step[2]])
        elif step[0] == "starts-with":
            conditions.append(["starts-with", f"${step[1]}", step[2]])
    style = RNG.choice(["path", "virtual", "bound"])
    arguments = {
        "path": {},
        "virtual": {"virtual_hosted_style": True},
        "bound": {"bucket_bound_hostname": "https://cdn.example.com"},
    }[style]

    _signing._NOW = client_module._NOW = lambda zone: now
    post = client.generate_signed_post_policy_v4(
        bucket, key, expiration=expires, conditions=conditions, fields=fields, **arguments
    )
    scheme, _, rest = post["url"].partition("://")
    return {
        "endpoint": f"{scheme}://{rest.partition('/')[0]}",
        "path_style": style == "path",
        "bucket": bucket,
        "key": key,
        "form": steps,
        "now": shared.unix(now),
        "expires": expires,
        "url": post["url"],
        "fields": [[name, value] for name, value in post["fields"].items()],
    }


def main():
    account = {
        "type": "service_account",
        "private_key": shared.pem(shared.rsa_test_key("gcs post", 1024), 8),
        "client_email": "poster@forktex-test.iam.gserviceaccount.com",
        "token_uri": "https://oauth2.googleapis.com/token",
    }
    client = google.cloud.storage.Client(
        project="forktex-test",
        credentials=service_account.Credentials.from_service_account_info(account),
    )
    cases = [make(client, key) for key in shared.AWKWARD_KEYS for _ in range(2)]
    cases += [make(client, shared.some_key(RNG)) for _ in range(40)]
    shared.write(
        "gcs_post",
        f"make_gcs_post.py, google-cloud-storage {google.cloud.storage.__version__}",
        "The service account is made up, and its key is a seeded test key.",
        {"account": json.dumps(account)},
        cases,
    )


main()
