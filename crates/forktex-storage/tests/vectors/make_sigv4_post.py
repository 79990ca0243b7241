# SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
"""Makes sigv4_post.json: presigned POST forms of S3 as botocore makes them, with its clock frozen."""

import random

import botocore
import botocore.compat
import botocore.session
from botocore.config import Config

import shared

RNG = random.Random(20240602)

CREDENTIALS = [
    {
        "access_key": "AKIAIOSFODNN7EXAMPLE",
        "secret_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "session_token": None,
    },
    {
        "access_key": "ASIATESTTESTTESTTEST",
        "secret_key": "test/secret+with=signs/0123456789abcdefghij",
        "session_token": "FwoGZXIvYXdzEBYaDH7GWSjtqTEST/+/=%~token\"quoted\"==",
    },
    {"access_key": "minioadmin", "secret_key": "minioadmin", "session_token": None},
]

ENDPOINTS = [
    (None, "us-east-1"),
    (None, "eu-central-1"),
    ("http://localhost:9000", "us-east-1"),
    ("http://127.0.0.1:9000", "us-east-1"),
    ("https://files.example.com:8443", "us-west-2"),
    ("http://[::1]:9000", "us-east-1"),
]

FIELDS = [
    ("Content-Type", "image/png"),
    ("Cache-Control", "no-cache, max-age=0"),
    ("Content-Disposition", "attachment; filename=\"räksmörgås 🚀.png\""),
    ("success_action_status", "201"),
    ("success_action_redirect", "https://example.com/done?a=b&c=d"),
    ("x-amz-meta-owner", "tab\there \\ \"quoted\" / ü 日本"),
    ("x-amz-meta-control", "\u0001\u001f\u007f\u0080\u2028"),
    ("x-amz-server-side-encryption", "AES256"),
    ("acl", "private"),
    ("tagging", "<Tagging><TagSet></TagSet></Tagging>"),
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
        steps.append(["starts-with", "x-amz-meta-note", RNG.choice(["", "ab/ü", "$"])])
    if RNG.random() < 0.2:
        steps.append(["loose", "x-amz-meta-note", "ab/ünote"])
    RNG.shuffle(steps)
    return steps


def arguments(steps):
    """The same form as botocore takes it."""
    fields, conditions = {}, []
    for step in steps:
        if step[0] in ("field", "loose"):
            fields[step[1]] = step[2]
        if step[0] == "field":
            conditions.append({step[1]: step[2]})
        elif step[0] == "range":
            conditions.append(["content-length-range", step[1], step[2]])
        elif step[0] == "starts-with":
            conditions.append(["starts-with", f"${step[1]}", step[2]])
    return fields, conditions


def make(session, key):
    credentials = RNG.randrange(len(CREDENTIALS))
    endpoint, region = RNG.choice(ENDPOINTS)
    numeric = endpoint is not None and ("127.0.0.1" in endpoint or "[" in endpoint)
    style = "path" if numeric else RNG.choice(["path", "virtual"])
    bucket = RNG.choice(["bucket", "my-bucket-7"])
    now, expires = shared.some_time(RNG), shared.some_expires(RNG)
    exact = RNG.random() < 0.7
    steps = some_form()
    fields, conditions = arguments(steps)

    shared.frozen_clock(botocore.compat, now)
    client = session.create_client(
        "s3",
        region_name=region,
        endpoint_url=endpoint,
        aws_access_key_id=CREDENTIALS[credentials]["access_key"],
        aws_secret_access_key=CREDENTIALS[credentials]["secret_key"],
        aws_session_token=CREDENTIALS[credentials]["session_token"],
        config=Config(signature_version="s3v4", s3={"addressing_style": style}),
    )
    post = client.generate_presigned_post(
        bucket,
        key if exact else key + "${filename}",
        Fields=fields,
        Conditions=conditions,
        ExpiresIn=expires,
    )
    scheme, _, rest = post["url"].partition("://")
    return {
        "credentials": credentials,
        "region": region,
        "endpoint": f"{scheme}://{rest.partition('/')[0]}",
        "path_style": style == "path",
        "bucket": bucket,
        "key": key,
        "key_is": "exact" if exact else "prefix",
        "form": steps,
        "now": shared.unix(now),
        "expires": expires,
        "url": post["url"],
        "fields": [[name, value] for name, value in post["fields"].items()],
    }


def main():
    session = botocore.session.Session()
    cases = [make(session, key) for key in shared.AWKWARD_KEYS for _ in range(2)]
    cases += [make(session, shared.some_key(RNG)) for _ in range(60)]
    shared.write(
        "sigv4_post",
        f"make_sigv4_post.py, botocore {botocore.__version__}",
        "The keys are test keys; those of the first are of the AWS documentation.",
        {"credentials": CREDENTIALS},
        cases,
    )


main()
