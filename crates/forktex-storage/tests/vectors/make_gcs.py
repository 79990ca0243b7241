# SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
"""Makes gcs.json: V4 signed URLs as google-cloud-storage prints them, with its clock frozen."""

import json
import random

import google.cloud.storage
from google.cloud.storage import _signing
from google.oauth2 import service_account

import shared

RNG = random.Random(20240603)

# Most cases take a short key: they are about texts, and a debug build signs slowly.
ACCOUNTS = [
    ("signer@forktex-test.iam.gserviceaccount.com", 1024),
    ("signer-long@forktex-test.iam.gserviceaccount.com", 2048),
]


def account_json(index):
    email, bits = ACCOUNTS[index]
    key = shared.pem(shared.rsa_test_key(f"gcs {index}", bits), 8)
    return {
        "type": "service_account",
        "project_id": "forktex-test",
        "private_key_id": "test-key",
        "private_key": key,
        "client_email": email,
        "token_uri": "https://oauth2.googleapis.com/token",
    }


def some_extras(method):
    """Parameters as our signer takes them, and the library's own arguments for them."""
    query, headers, arguments = [], [], {}
    if method in ("GET", "HEAD"):
        if RNG.random() < 0.5:
            arguments["response_type"] = RNG.choice(shared.AWKWARD_VALUES)
            query.append(["response-content-type", arguments["response_type"]])
        if RNG.random() < 0.5:
            arguments["response_disposition"] = RNG.choice(shared.AWKWARD_VALUES)
            query.append(["response-content-disposition", arguments["response_disposition"]])
        if RNG.random() < 0.3:
            arguments["generation"] = "1360887697105000"
            query.append(["generation", "1360887697105000"])
    else:
        if RNG.random() < 0.5:
            arguments["content_type"] = "image/png;  a=b"
            headers.append(["content-type", "image/png;  a=b"])
        more = {}
        if RNG.random() < 0.5:
            more["x-goog-if-generation-match"] = "0"
        if RNG.random() < 0.4:
            more["x-goog-content-length-range"] = "0,1000000"
        if RNG.random() < 0.3:
            more["X-Goog-Meta-Owner"] = "  a   b "
        if RNG.random() < 0.2:
            more["x-goog-content-sha256"] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9c"
        arguments["headers"] = more
        headers += [[name.lower(), value] for name, value in more.items()]
        if RNG.random() < 0.3:
            arguments["query_parameters"] = {"uploadId": "u+/= ü", "partNumber": "7"}
            query += [["uploadId", "u+/= ü"], ["partNumber", "7"]]
    if RNG.random() < 0.2:
        arguments.setdefault("query_parameters", {})["userProject"] = "a project&b"
        query.append(["userProject", "a project&b"])
    RNG.shuffle(query)
    RNG.shuffle(headers)
    return query, headers, arguments


def make(clients, key):
    account = 1 if RNG.random() < 0.05 else 0
    bucket = RNG.choice(["bucket", "my_bucket-7", "files.example.com"])
    method = RNG.choice(["GET", "GET", "HEAD", "PUT", "PUT", "DELETE"])
    now, expires = shared.some_time(RNG), shared.some_expires(RNG)
    query, headers, arguments = some_extras(method)
    style = RNG.choice(["path", "path", "virtual", "bound", "emulator"])
    endpoint = {
        "path": "https://storage.googleapis.com",
        "virtual": f"https://{bucket}.storage.googleapis.com",
        "bound": "https://cdn.example.com:8443",
        "emulator": "http://localhost:4443",
    }[style]
    if style == "virtual":
        arguments["virtual_hosted_style"] = True
    elif style == "bound":
        arguments["bucket_bound_hostname"] = endpoint
    elif style == "emulator":
        arguments["api_access_endpoint"] = endpoint

    _signing._NOW = lambda zone: now
    url = clients[account].bucket(bucket).blob(key).generate_signed_url(
        version="v4", expiration=expires, method=method, **arguments
    )
    return {
        "account": account,
        "method": method,
        "endpoint": endpoint,
        "path": f"/{bucket}/{key}" if style in ("path", "emulator") else f"/{key}",
        "query": query,
        "headers": headers,
        "now": shared.unix(now),
        "expires": expires,
        "url": url,
    }


def main():
    accounts = [account_json(index) for index in range(len(ACCOUNTS))]
    clients = [
        google.cloud.storage.Client(
            project="forktex-test",
            credentials=service_account.Credentials.from_service_account_info(account),
        )
        for account in accounts
    ]
    cases = [make(clients, key) for key in shared.AWKWARD_KEYS for _ in range(4)]
    cases += [make(clients, shared.some_key(RNG)) for _ in range(100)]
    shared.write(
        "gcs",
        f"make_gcs.py, google-cloud-storage {google.cloud.storage.__version__}",
        "The service accounts are made up, and their keys are seeded test keys.",
        {"accounts": [json.dumps(account) for account in accounts]},
        cases,
    )


main()
