# SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
"""Makes azure.json: blob URLs with a service SAS, as azure-storage-blob prints them."""

import base64
import datetime
import random

import azure.storage.blob
from azure.storage.blob import BlobClient, generate_blob_sas
from azure.storage.blob._shared.constants import X_MS_VERSION

import shared

RNG = random.Random(20240605)

ACCOUNTS = [
    # The emulator's own, which Microsoft documents.
    {
        "account": "devstoreaccount1",
        "key": "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
    },
    {"account": "forktextest", "key": base64.b64encode(bytes(range(64))).decode()},
]

OVERRIDES = [
    "cache_control",
    "content_disposition",
    "content_encoding",
    "content_language",
    "content_type",
]


def make(key):
    account = RNG.choice(ACCOUNTS)
    emulator = account["account"] == "devstoreaccount1"
    endpoint = (
        f"http://127.0.0.1:10000/{account['account']}"
        if emulator
        else f"https://{account['account']}.blob.core.windows.net"
    )
    container = RNG.choice(["container", "my-container-7", "$root"])
    now, expires = shared.some_time(RNG), shared.some_expires(RNG)
    protocol = "https,http" if emulator else RNG.choice(["https", "https,http"])
    start = now - datetime.timedelta(minutes=5) if RNG.random() < 0.4 else None
    ip = RNG.choice([None, None, "168.1.5.65", "168.1.5.60-168.1.5.70"])
    permissions = RNG.choice(["r", "cw", "c", "d", "rw", "racwd"])
    overrides = {
        name: RNG.choice(shared.AWKWARD_VALUES)
        for name in RNG.sample(OVERRIDES, RNG.randint(0, 4))
    }
    # The library reads no clock here: the end is given, so that nothing must be frozen.
    token = generate_blob_sas(
        account["account"],
        container,
        key,
        account_key=account["key"],
        permission=permissions,
        expiry=now + datetime.timedelta(seconds=expires),
        start=start,
        ip=ip,
        protocol=protocol,
        **overrides,
    )
    client = BlobClient(endpoint, container, key, credential=None)
    return {
        "account": account["account"],
        "account_key": account["key"],
        "endpoint": endpoint,
        "container": container,
        "blob": key,
        "permissions": permissions,
        "protocol": protocol,
        "start": shared.unix(start) if start else None,
        "ip": ip,
        **{name: overrides.get(name) for name in OVERRIDES},
        "now": shared.unix(now),
        "expires": expires,
        "url": f"{client.url}?{token}",
    }


def main():
    cases = [make(key) for key in shared.AWKWARD_KEYS for _ in range(5)]
    cases += [make(shared.some_key(RNG)) for _ in range(150)]
    shared.write(
        "azure",
        f"make_azure.py, azure-storage-blob {azure.storage.blob.__version__}",
        "The keys are the documented key of the emulator, and a made-up one.",
        {"version": X_MS_VERSION},
        cases,
    )


main()
