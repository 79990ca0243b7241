# SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
"""Makes cloudfront.json: signed URLs and cookies as botocore's CloudFrontSigner makes them."""

import datetime
import random
from urllib.parse import quote

import botocore
from botocore.signers import CloudFrontSigner
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

import shared

RNG = random.Random(20240606)

# Most cases take a short key: they are about texts, and a debug build signs slowly.
KEYS = [("KTESTSHORT0001", 1024, 1), ("KTESTLONG00002", 2048, 8), ("APKATESTTESTTEST", 1024, 8)]
BASES = ["https://d111111abcdef8.cloudfront.net", "https://cdn.example.com", "http://cdn.example.com:8080"]
QUERIES = [
    "",
    "",
    "?response-content-type=image%2Fpng",
    "?response-content-disposition=attachment%3B%20filename%3D%22a%20b.pdf%22&x=~-._",
    "?a=b&expires=lower",
]
IPS = [None, None, "192.0.2.1", "192.0.2.0/24", "0.0.0.0/0"]


def signer_of(index):
    name, bits, _ = KEYS[index]
    key = shared.rsa_test_key(f"cloudfront {index}", bits)
    return CloudFrontSigner(name, lambda text: key.sign(text, padding.PKCS1v15(), hashes.SHA1()))


def make(signers, name, kind):
    index = RNG.choice([0, 0, 0, 0, 0, 0, 2, 2, 2, 1])
    signer = signers[index]
    now, expires = shared.some_time(RNG), shared.some_expires(RNG)
    end = now + datetime.timedelta(seconds=expires)
    base = RNG.choice(BASES)
    url = f"{base}/{quote(name, safe='/~')}{RNG.choice(QUERIES)}"
    case = {"kind": kind, "key": index, "now": shared.unix(now), "expires": expires}
    if kind == "canned":
        signed = signer.generate_presigned_url(url, date_less_than=end)
        return {**case, "url": url, "signed": signed}
    resource = RNG.choice([url, f"{base}/*", f"{base}/{quote(name[:3], safe='/~')}*", "http*://*/a?c"])
    start = now - datetime.timedelta(minutes=5) if RNG.random() < 0.5 else None
    ip = RNG.choice(IPS)
    policy = signer.build_policy(resource, end, start, ip)
    case.update(resource=resource, start=shared.unix(start) if start else None, ip=ip)
    if kind == "custom":
        signed = signer.generate_presigned_url(url, policy=policy)
        return {**case, "url": url, "signed": signed}
    # botocore makes no cookies; they hold the very texts that it puts into a URL.
    signed = signer.generate_presigned_url("", policy=policy)
    values = dict(pair.split("=") for pair in signed.lstrip("?").split("&"))
    return {**case, "cookies": [[f"CloudFront-{name}", value] for name, value in values.items()]}


def main():
    signers = [signer_of(index) for index in range(len(KEYS))]
    kinds = ("canned", "custom", "cookies")
    cases = [make(signers, name, kind) for name in shared.AWKWARD_KEYS for kind in kinds]
    cases += [make(signers, shared.some_key(RNG), kind) for _ in range(30) for kind in kinds]
    keys = [
        {"id": name, "pem": shared.pem(shared.rsa_test_key(f"cloudfront {index}", bits), pkcs)}
        for index, (name, bits, pkcs) in enumerate(KEYS)
    ]
    shared.write(
        "cloudfront",
        f"make_cloudfront.py, botocore {botocore.__version__}",
        "The keys are seeded test keys: PKCS #1, PKCS #8 and PKCS #8.",
        {"keys": keys},
        cases,
    )


main()
