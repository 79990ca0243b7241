-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Does what nobody asks for, a bounded part of it. ARGV: for how many ms dead letters are kept, what is
-- noted of a lost worker, the queues. Answers how many jobs were promoted, taken back, buried and pruned,
-- and 1 where a bound was met.
local PART = 200
local kept_since = text(now - ARGV[1])
local promoted, taken_back, buried, pruned, is_more = 0, 0, 0, 0, 0

local function take_back(q, member)
  local id = string.sub(member, 1, 16)
  call('ZREM', q .. 'running', member)
  local body = call('HGET', jobs, id)
  if not body then
    return
  end
  local job = read(body)
  end_limit(job, id)
  if call('SREM', cancels, id) == 1 then
    forget(job, id)
    return
  end
  job.attempts, job.note = job.attempts + 1, ARGV[2]
  if job.attempts < job.attempts_max then
    job.changed = now
    write(id, body, job)
    make_ready(job, id, text(job.score))
    taken_back = taken_back + 1
  else
    bury(job, id, body, LEASE_LOST)
    buried = buried + 1
  end
end

-- A limit whose jobs all left without a word must not keep those that wait for it.
local function release_held(q)
  for _, limit in ipairs(call('SRANDMEMBER', q .. 'holding', PART)) do
    if call('EXISTS', q .. 'lr:' .. limit) == 0 then
      let_go(q, limit)
    end
  end
end

local function maintain(queue)
  local q = queue_keys(queue)
  local ended = call('ZRANGEBYSCORE', q .. 'running', '-inf', text(now), 'LIMIT', 0, PART)
  for _, member in ipairs(ended) do
    take_back(q, member)
  end
  local count, next_due = promote(q, 2 * PART)
  promoted = promoted + count
  if count > 0 then
    wake()
  end
  local old = call('ZRANGEBYSCORE', q .. 'dead', '-inf', kept_since, 'LIMIT', 0, PART)
  many('ZREM', q .. 'dead', old)
  many('HDEL', jobs, old)
  many('ZREM', ids, old)
  pruned = pruned + #old
  if #ended == PART or #old == PART or (next_due and next_due <= now) then
    is_more = 1
  end
  release_held(q)
  if call('EXISTS', q .. 'ready', q .. 'ring', q .. 'due', q .. 'held', q .. 'running', q .. 'dead') == 0 then
    call('SREM', base .. 'queues', queue)
    call('DEL', q .. 'turn', q .. 'tenanted', q .. 'holding')
  end
end

for i = 3, #ARGV do
  maintain(ARGV[i])
end
return { promoted, taken_back, buried, pruned, is_more }
