// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
// BullMQ: jobs are added in bulk and removed when they are completed; one worker runs many at a time. The
// last line printed is the report.
import { createRequire } from 'node:module';

const require = createRequire(`${process.env.FORKTEX_RIVALS_NODE}/`);
const { Queue, Worker } = require('bullmq');
const { version } = require('bullmq/package.json');

const BULK = 1000;
const order = JSON.parse(process.argv[2]);
const address = new URL(order.url);
const connection = {
  host: address.hostname,
  port: Number(address.port),
  maxRetriesPerRequest: null,
};
const queue = new Queue('bench', {
  connection,
  defaultJobOptions: { removeOnComplete: true, removeOnFail: true },
});

async function many() {
  for (let first = 0; first < order.jobs; first += BULK) {
    const count = Math.min(BULK, order.jobs - first);
    const jobs = Array.from({ length: count }, (_, at) => ({
      name: 'nothing',
      data: { number: first + at, text: order.text },
    }));
    await queue.addBulk(jobs);
  }
  let begun = 0;
  const start = performance.now();
  const worker = new Worker('bench', async () => { begun += 1; }, {
    connection,
    concurrency: order.at_once,
  });
  await worker.waitUntilReady();
  for (;;) {
    if (begun >= order.jobs) {
      const counts = await queue.getJobCounts('wait', 'active', 'delayed', 'prioritized', 'failed');
      if (Object.values(counts).every((count) => count === 0)) {
        break;
      }
    }
    await new Promise((resolve) => { setTimeout(resolve, 1); });
  }
  const seconds = (performance.now() - start) / 1000;
  await worker.close();
  return { version, seconds, begun };
}

async function pickup() {
  let tell;
  const worker = new Worker('bench', async () => { tell(performance.now()); }, {
    connection,
    concurrency: order.at_once,
  });
  await worker.waitUntilReady();
  const times = [];
  for (let number = 0; number < order.jobs; number += 1) {
    const begun = new Promise((resolve) => { tell = resolve; });
    const asked = performance.now();
    await queue.add('nothing', { number, text: order.text });
    times.push((await begun) - asked);
  }
  await worker.close();
  return { version, times };
}

const report = order.task === 'many' ? await many() : await pickup();
await queue.close();
console.log(JSON.stringify(report));
process.exit(0);
