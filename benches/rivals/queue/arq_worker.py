# SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
"""arq: jobs are enqueued many at a time, results are not kept, one worker runs many jobs at a time.

The last line printed is the report.
"""

import asyncio
import json
import sys
import time
from urllib.parse import urlparse

from arq import create_pool
from arq.connections import RedisSettings
from arq.version import VERSION
from arq.worker import Worker

BULK = 500
# Half a second by default, which would be all that the pickup measures.
POLL_SECONDS = 0.005

ORDER = json.loads(sys.argv[1])
BEGUN = 0
TOLD: asyncio.Queue[float] = asyncio.Queue()


async def nothing(_ctx, _number: int, _text: str) -> None:
    global BEGUN
    BEGUN += 1
    if ORDER["task"] == "pickup":
        TOLD.put_nowait(time.perf_counter())


def settings() -> RedisSettings:
    address = urlparse(ORDER["url"])
    return RedisSettings(host=address.hostname, port=address.port)


def worker(pool, burst: bool) -> Worker:
    return Worker(
        functions=[nothing],
        redis_pool=pool,
        burst=burst,
        max_jobs=ORDER["at_once"],
        poll_delay=POLL_SECONDS,
        keep_result=0,
        log_results=False,
        handle_signals=False,
        health_check_interval=3600,
    )


async def many(pool) -> dict:
    for first in range(0, ORDER["jobs"], BULK):
        last = min(first + BULK, ORDER["jobs"])
        jobs = (pool.enqueue_job("nothing", number, ORDER["text"]) for number in range(first, last))
        await asyncio.gather(*jobs)
    start = time.perf_counter()
    await worker(pool, burst=True).main()
    seconds = time.perf_counter() - start
    left = await pool.zcard("arq:queue")
    if left:
        raise RuntimeError(f"{left} jobs are left")
    return {"version": VERSION, "seconds": seconds, "begun": BEGUN}


async def pickup(pool) -> dict:
    running = asyncio.create_task(worker(pool, burst=False).main())
    times = []
    for number in range(ORDER["jobs"]):
        asked = time.perf_counter()
        await pool.enqueue_job("nothing", number, ORDER["text"])
        times.append((await TOLD.get() - asked) * 1000)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return {"version": VERSION, "times": times}


async def run() -> None:
    pool = await create_pool(settings())
    task = many if ORDER["task"] == "many" else pickup
    print(json.dumps(await task(pool)))


asyncio.run(run())
