# SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
"""What the scripts of this folder share: the frozen clock, test keys, awkward texts, the file format.

Run with Python 3.11 and the versions in requirements.txt:

    python make_sigv4.py && python make_sigv4_post.py && python make_gcs.py \
        && python make_gcs_post.py && python make_azure.py && python make_cloudfront.py

Each run prints the same bytes: seeds are fixed, and RSA keys are made from seeded primes. The keys
are test keys. They sign nothing outside of these files.
"""

import datetime
import json
import pathlib
import random

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

HERE = pathlib.Path(__file__).parent
BYTES_MAX = 400_000

# Each character here is encoded, or kept, by some library and not by another.
AWKWARD_KEYS = [
    "test.txt",
    "photos/2024/summer.jpg",
    "with space.txt",
    "plus+plus.txt",
    "tilde~tilde~.txt",
    "percent%percent%20.txt",
    "question?mark=1&amp=2",
    "hash#hash",
    "amp&amp=eq",
    "double//slash//.txt",
    "/leading/slash",
    "trailing/slash/",
    "dash-dot.under_score~",
    "quotes'\"back`tick",
    "(round)[square]{curly}<angle>",
    "semi;colon:comma,at@dollar$",
    "star*bang!caret^pipe|",
    "back\\slash",
    "unicode/äöü/ß/é.txt",
    "unicode/日本語/テスト.png",
    "emoji/🚀/👩‍👩‍👧.bin",
    "combining/e\u0301.txt",
    "rtl/שלום.txt",
    "nbsp\u00a0nbsp.txt",
    "%2F%2f%00",
    "a" * 200,
    "dots/.hidden/..two/...",
    "UPPER/lower/MiXeD",
    "=equals=",
    "1234567890",
]

AWKWARD_VALUES = [
    "text/plain",
    "text/html; charset=utf-8",
    'attachment; filename="invoice 7.pdf"',
    "attachment; filename*=UTF-8''na%C3%AFve%20file.txt",
    "no-cache, max-age=0",
    "application/x+y~z",
    "inline",
    "a=b&c=d?e#f/g:h;i,j",
    "ü/ñ 日本 🚀",
    "100%",
]

FILLER = "abcXYZ019 -_.~+/%?#&=@:;,()'äß語🚀"


def frozen_clock(module, now):
    """Puts a clock that stands still at `now` in place of the `datetime` module of `module`."""

    class Frozen(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return now if tz else now.replace(tzinfo=None)

        @classmethod
        def utcnow(cls):
            return now.replace(tzinfo=None)

    class Module:
        timedelta = datetime.timedelta
        timezone = datetime.timezone
        date = datetime.date

    Module.datetime = Frozen
    module.datetime = Module


def some_time(rng):
    """A second between 2013 and 2033, at times the first or the last of its day."""
    start = datetime.datetime(2013, 1, 1, tzinfo=datetime.timezone.utc)
    now = start + datetime.timedelta(seconds=rng.randrange(20 * 365 * 86_400))
    midnight = now.replace(hour=0, minute=0, second=0)
    return rng.choice([now, now, now, midnight, midnight - datetime.timedelta(seconds=1)])


def some_expires(rng):
    return rng.choice([1, 60, 300, 899, 900, 3600, 43_200, 86_400, 604_799, 604_800])


def some_key(rng, first=None):
    """`first` if given, or a random path of awkward characters."""
    if first is not None:
        return first
    segments = []
    for _ in range(rng.randint(1, 4)):
        segments.append("".join(rng.choice(FILLER) for _ in range(rng.randint(1, 12))))
    return "/".join(segments)


def unix(moment):
    return int(moment.timestamp())


def _probable_prime(rng, bits):
    while True:
        # The two highest bits make the product as long as wanted.
        candidate = rng.getrandbits(bits) | (3 << (bits - 2)) | 1
        if candidate % 65537 != 1 and _is_prime(rng, candidate):
            return candidate


def _is_prime(rng, number):
    for small in (3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47):
        if number % small == 0:
            return False
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for _ in range(40):
        power = pow(rng.randrange(2, number - 1), odd, number)
        if power in (1, number - 1):
            continue
        for _ in range(twos - 1):
            power = power * power % number
            if power == number - 1:
                break
        else:
            return False
    return True


def rsa_test_key(seed, bits):
    """An RSA key that is the same at each run. Seeded, and so known to everyone: for tests alone."""
    rng = random.Random(seed)
    p, q = _probable_prime(rng, bits // 2), _probable_prime(rng, bits // 2)
    exponent = 65537
    d = pow(exponent, -1, (p - 1) * (q - 1))
    return rsa.RSAPrivateNumbers(
        p=p,
        q=q,
        d=d,
        dmp1=d % (p - 1),
        dmq1=d % (q - 1),
        iqmp=pow(q, -1, p),
        public_numbers=rsa.RSAPublicNumbers(exponent, p * q),
    ).private_key()


def pem(key, pkcs):
    form = {
        1: serialization.PrivateFormat.TraditionalOpenSSL,
        8: serialization.PrivateFormat.PKCS8,
    }[pkcs]
    return key.private_bytes(
        serialization.Encoding.PEM, form, serialization.NoEncryption()
    ).decode()


def write(name, made_by, note, shared, cases):
    """Writes `name`.json: one case a line, so that a difference between two runs can be read."""
    head = {"made_by": made_by, "note": note, **shared}
    lines = json.dumps(head, ensure_ascii=False, indent=2)[:-2]
    rows = ",\n".join("    " + json.dumps(case, ensure_ascii=False) for case in cases)
    text = f'{lines},\n  "cases": [\n{rows}\n  ]\n}}\n'
    assert json.loads(text)["cases"] == json.loads(json.dumps(cases))
    assert len(text.encode()) < BYTES_MAX, f"{name}: {len(text.encode())} bytes"
    (HERE / f"{name}.json").write_text(text, encoding="utf-8")
    print(f"{name}.json: {len(cases)} cases, {len(text.encode())} bytes, by {made_by}")
