# SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
"""Makes sigv4.json: presigned URLs of S3 as botocore prints them, with its clock frozen."""

import base64
import hashlib
import random
from urllib.parse import urlsplit

import botocore
import botocore.auth
import botocore.compat
import botocore.session
from botocore.config import Config

import shared

RNG = random.Random(20240601)

# What AWS itself documents, in "Authenticating Requests: Using Query Parameters".
AWS_EXAMPLE = {
    "access_key": "AKIAIOSFODNN7EXAMPLE",
    "secret_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "url": (
        "https://examplebucket.s3.amazonaws.com/test.txt"
        "?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
        "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    ),
}

CREDENTIALS = [
    {
        "access_key": AWS_EXAMPLE["access_key"],
        "secret_key": AWS_EXAMPLE["secret_key"],
        "session_token": None,
    },
    {
        "access_key": "ASIATESTTESTTESTTEST",
        "secret_key": "test/secret+with=signs/0123456789abcdefghij",
        "session_token": "FwoGZXIvYXdzEBYaDH7GWSjtqTEST/+/=%~token+with/signs==",
    },
    {"access_key": "minioadmin", "secret_key": "minioadmin", "session_token": None},
    # Longer than a block of SHA-256 once `AWS4` is before it, so that HMAC hashes it first.
    {"access_key": "LONGSECRET", "secret_key": "s" * 70, "session_token": "short"},
]

ENDPOINTS = [
    (None, "us-east-1"),
    (None, "eu-central-1"),
    (None, "ap-southeast-2"),
    ("http://localhost:9000", "us-east-1"),
    ("http://127.0.0.1:9000", "us-east-1"),
    ("https://minio.example.com", "eu-west-1"),
    ("https://files.example.com:8443", "us-west-2"),
    ("http://[::1]:9000", "us-east-1"),
    ("http://storage.internal", "local"),
    ("https://s3.example-cloud.eu", "de-1"),
]

RESPONSE = {
    "ResponseContentType": "response-content-type",
    "ResponseContentDisposition": "response-content-disposition",
    "ResponseCacheControl": "response-cache-control",
    "ResponseContentEncoding": "response-content-encoding",
    "ResponseContentLanguage": "response-content-language",
    "VersionId": "versionId",
}


def client_of(session, credentials, endpoint, region, style):
    return session.create_client(
        "s3",
        region_name=region,
        endpoint_url=endpoint,
        aws_access_key_id=credentials["access_key"],
        aws_secret_access_key=credentials["secret_key"],
        aws_session_token=credentials["session_token"],
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": style},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


def some_ascii(values):
    return RNG.choice([value for value in values if value.isascii()])


def get_case(key):
    query, params = [], {}
    for name in RNG.sample(sorted(RESPONSE), RNG.randint(0, 4)):
        value = RNG.choice(shared.AWKWARD_VALUES)
        params[name] = value
        query.append([RESPONSE[name], value])
    return "get_object", "GET", params, query, []


def head_case(key):
    params, query = {}, []
    if RNG.random() < 0.4:
        params["VersionId"] = "3/L4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY+MTRCxf3vjVBH40Nr8X8gdRQBpUMLUo"
        query.append(["versionId", params["VersionId"]])
    return "head_object", "HEAD", params, query, []


def put_case(key):
    """Every header that a link of ours may bind."""
    digest = base64.b64encode(hashlib.sha256(key.encode()).digest()).decode()
    known = {
        "ContentType": ("content-type", some_ascii(shared.AWKWARD_VALUES)),
        "ContentDisposition": ("content-disposition", some_ascii(shared.AWKWARD_VALUES)),
        "CacheControl": ("cache-control", "  public,   max-age=60 "),
        "ContentLength": ("content-length", RNG.randrange(1, 10**9)),
        "ChecksumSHA256": ("x-amz-checksum-sha256", digest),
        "IfNoneMatch": ("if-none-match", "*"),
    }
    params, headers = {}, []
    for name in RNG.sample(sorted(known), RNG.randint(0, len(known))):
        header, value = known[name]
        params[name] = value
        headers.append([header, str(value)])
    if RNG.random() < 0.4:
        params["Metadata"] = {"forktex-sha256": digest, "Owner-Name": "a  b   c"}
        headers.append(["x-amz-meta-forktex-sha256", digest])
        headers.append(["x-amz-meta-owner-name", "a  b   c"])
    return "put_object", "PUT", params, [], headers


def part_case(key):
    number, upload = RNG.randint(1, 10_000), "Upload.Id_~-" + "+/=%"[RNG.randrange(4)] * 3
    params = {"UploadId": upload, "PartNumber": number}
    query = [["uploadId", upload], ["partNumber", str(number)]]
    headers = []
    if RNG.random() < 0.5:
        length = RNG.randrange(5 << 20, 64 << 20)
        params["ContentLength"] = length
        headers.append(["content-length", str(length)])
    return "upload_part", "PUT", params, query, headers


def other_case(key):
    """What the sweeper and the browser's multipart upload call."""
    return RNG.choice(
        [
            ("create_multipart_upload", "POST", {"ContentType": "a/b"}, [["uploads", ""]],
             [["content-type", "a/b"]]),
            ("abort_multipart_upload", "DELETE", {"UploadId": "u+1"}, [["uploadId", "u+1"]], []),
            ("list_parts", "GET", {"UploadId": "u 1", "MaxParts": 5},
             [["uploadId", "u 1"], ["max-parts", "5"]], []),
            ("delete_object", "DELETE", {}, [], []),
        ]
    )


def bucket_case():
    return (
        "list_multipart_uploads", "GET",
        {"Prefix": "org/7/ä b", "KeyMarker": "k&=", "UploadIdMarker": "u+"},
        [["uploads", ""], ["prefix", "org/7/ä b"], ["key-marker", "k&="],
         ["upload-id-marker", "u+"]],
        [],
    )


def make(session, key, kind):
    credentials = RNG.randrange(len(CREDENTIALS))
    endpoint, region = RNG.choice(ENDPOINTS)
    numeric = endpoint is not None and ("127.0.0.1" in endpoint or "[" in endpoint)
    style = "path" if numeric else RNG.choice(["path", "virtual"])
    bucket = RNG.choice(["bucket", "my-bucket-7", "abc"])
    now, expires = shared.some_time(RNG), shared.some_expires(RNG)
    operation, method, params, query, headers = bucket_case() if kind is None else kind(key)
    params = {"Bucket": bucket, **({} if kind is None else {"Key": key}), **params}

    shared.frozen_clock(botocore.compat, now)
    client = client_of(session, CREDENTIALS[credentials], endpoint, region, style)
    url = client.generate_presigned_url(operation, Params=params, ExpiresIn=expires)
    parts = urlsplit(url)
    path = "" if kind is None else key
    return {
        "operation": operation,
        "method": method,
        "credentials": credentials,
        "region": region,
        "endpoint": f"{parts.scheme}://{parts.netloc}",
        # The path as our signer takes it: not encoded, and with the bucket for the path style.
        "path": f"/{path}" if style == "virtual" else f"/{bucket}/{path}" if path else f"/{bucket}",
        "query": query,
        "headers": headers,
        "now": shared.unix(now),
        "expires": expires,
        "url": url,
    }


def aws_example(session):
    """The documented URL, which botocore must agree with."""
    shared.frozen_clock(
        botocore.compat,
        shared.datetime.datetime(2013, 5, 24, tzinfo=shared.datetime.timezone.utc),
    )
    client = client_of(session, CREDENTIALS[0], None, "us-east-1", "virtual")
    params = {"Bucket": "examplebucket", "Key": "test.txt"}
    url = client.generate_presigned_url("get_object", Params=params, ExpiresIn=86_400)
    assert url == AWS_EXAMPLE["url"], url
    return {
        "operation": "the example of the AWS documentation",
        "method": "GET",
        "credentials": 0,
        "region": "us-east-1",
        "endpoint": "https://examplebucket.s3.amazonaws.com",
        "path": "/test.txt",
        "query": [],
        "headers": [],
        "now": 1369353600,
        "expires": 86_400,
        "url": AWS_EXAMPLE["url"],
    }


def main():
    session = botocore.session.Session()
    cases = [aws_example(session)]
    for key in shared.AWKWARD_KEYS:
        for kind in (get_case, put_case, part_case, head_case):
            cases.append(make(session, key, kind))
    for _ in range(60):
        for kind in (get_case, put_case, other_case):
            cases.append(make(session, shared.some_key(RNG), kind))
    cases += [make(session, None, None) for _ in range(10)]
    shared.write(
        "sigv4",
        f"make_sigv4.py, botocore {botocore.__version__}",
        "The keys are test keys; those of the first are of the AWS documentation.",
        {"credentials": CREDENTIALS},
        cases,
    )


main()
