-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Cancels a job. ARGV: its id. Answers 1 where it is gone, 2 where its worker will be told, 0 where there
-- is none that has not ended.
local id = ARGV[1]
local body = call('HGET', jobs, id)
if not body then
  return 0
end
local job = read(body)
local q = job.q
if call('ZSCORE', q .. 'dead', id) then
  return 0
end
local is_gone = call('ZREM', q .. 'due', id) == 1
if not is_gone and call('ZREM', ready_key(job), id) == 1 then
  is_gone = true
  if job.tenant ~= '' then
    call('DECR', q .. 'tenanted')
  end
  -- Who has no jobs has no turn, and must not make the queue look full.
  if call('EXISTS', ready_key(job)) == 0 then
    call('ZREM', q .. 'ring', job.tenant)
  end
end
if is_gone then
  forget(job, id)
  -- It may have been let go, and then nobody else would let the next one go.
  if job.limit and job.concurrency > 0 and call('SCARD', q .. 'lr:' .. job.limit) < job.concurrency then
    let_go(q, job.limit)
  end
  return 1
end
if call('ZREM', q .. 'held', id) == 1 then
  local waiting = q .. 'lh:' .. job.limit
  call('ZREM', waiting, id)
  if call('EXISTS', waiting) == 0 then
    call('SREM', q .. 'holding', job.limit)
  end
  forget(job, id)
  return 1
end
call('SADD', cancels, id)
return 2
