-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- What each script begins with: the names of the keys, the clock, and how a job goes from one place
-- to another. KEYS[1] is the hash of all jobs; every other key begins as it does, and so is in its slot.
--
-- A job is in the hash and in exactly one sorted set of its queue: `ready` (or `t:<tenant>`), `due`,
-- `held`, `running` or `dead`. Its attempts are those before the one that runs, so that a claim writes
-- nothing but the lease: a member of `running` is the job's id with the mark of its claim.
local call = redis.call
local jobs = KEYS[1]
local base = string.sub(jobs, 1, -5)
local ids, cancels = base .. 'ids', base .. 'cancels'
local clock = call('TIME')
local now_us = clock[1] * 1000000 + clock[2]
local now = math.floor(now_us / 1000)

-- The part of a stored job that changes: its score, when it was put in, its attempts, when it came to
-- where it is, why it is dead, and the length of the note at its end.
local HEAD, HEAD_BYTES = '>i8i8Hi8BH', 29
local TENANT, LOCK, LIMIT = 1, 2, 4
local UNTIL_STARTED, UNTIL_DONE, FOR_A_TIME = 1, 2, 3
local LEASE_LOST = 4
-- No command is given more, since the stack of a script is bounded.
local ARGUMENTS_MAX = 1000
local HEAD_START_MS = 30000
-- An idle worker looks that often of its own accord.
local POLL_MS = 1000

local function queue_keys(queue)
  return base .. 'q:' .. queue .. ':'
end

local function text(number)
  return string.format('%.0f', number)
end

local function many(command, key, list)
  for from = 1, #list, ARGUMENTS_MAX do
    call(command, key, unpack(list, from, math.min(from + ARGUMENTS_MAX - 1, #list)))
  end
end

-- Tells idle workers to look, once a script.
local is_woken = false
local function wake()
  if not is_woken then
    is_woken = true
    call('PUBLISH', base .. 'wake', '')
  end
end

-- What a script may ask of a stored job.
local function read(body)
  local job, at = { tenant = '' }, nil
  job.score, job.enqueued, job.attempts, job.changed, job.reason, job.note_bytes =
    struct.unpack(HEAD, body)
  job.flags, job.attempts_max, job.priority, job.queue, job.name, at =
    struct.unpack('>BHhHc0Hc0', body, HEAD_BYTES + 1)
  job.q = queue_keys(job.queue)
  if bit.band(job.flags, TENANT) > 0 then
    job.tenant, at = struct.unpack('>Hc0', body, at)
  end
  if bit.band(job.flags, LOCK) > 0 then
    job.mode, job.lock_ms, job.lock, at = struct.unpack('>BI8Hc0', body, at)
  end
  if bit.band(job.flags, LIMIT) > 0 then
    job.concurrency, job.rate, job.per_us, job.limit = struct.unpack('>I4I4I8Hc0', body, at)
  end
  return job
end

-- Stores what changed of a job; its note stays unless there is a new one.
local function write(id, body, job)
  local kept = string.sub(body, HEAD_BYTES + 1, #body - job.note_bytes)
  local note = job.note or string.sub(body, #body - job.note_bytes + 1)
  local head = struct.pack(HEAD, job.score, job.enqueued, job.attempts, job.changed, job.reason, #note)
  call('HSET', jobs, id, head .. kept .. note)
end

local function ready_key(job)
  return job.tenant == '' and job.q .. 'ready' or job.q .. 't:' .. job.tenant
end

-- Gives a tenant a turn after all that have one.
local function join_ring(q, tenant)
  if not call('ZSCORE', q .. 'ring', tenant) then
    call('ZADD', q .. 'ring', call('INCR', q .. 'turn'), tenant)
  end
end

local function make_ready(job, id, score)
  local q = job.q
  -- Workers that found nothing are asleep; one that found too much looks again by itself.
  if not is_woken and call('EXISTS', q .. 'ready', q .. 'ring') == 0 then
    wake()
  end
  local is_new = call('ZADD', ready_key(job), score, id) == 1
  if job.tenant ~= '' then
    if is_new then
      call('INCR', q .. 'tenanted')
    end
    join_ring(q, job.tenant)
  end
end

local function schedule(q, id, due)
  if due - now < POLL_MS then
    local first = call('ZRANGE', q .. 'due', 0, 0, 'WITHSCORES')[2]
    if not first or tonumber(first) > due then
      wake()
    end
  end
  call('ZADD', q .. 'due', text(due), id)
end

-- Makes up to `most` due jobs ready; gives how many those were, and when the next one is due.
local function promote(q, most)
  local due = q .. 'due'
  local first = call('ZRANGE', due, 0, 0, 'WITHSCORES')[2]
  if not first then
    return 0, nil
  elseif tonumber(first) > now then
    return 0, tonumber(first)
  end
  local names = call('ZRANGEBYSCORE', due, '-inf', text(now), 'LIMIT', 0, most)
  local bodies = call('HMGET', jobs, unpack(names))
  local plain = {}
  for i, id in ipairs(names) do
    local body = bodies[i]
    if body and bit.band(string.byte(body, HEAD_BYTES + 1), TENANT) == 0 then
      plain[#plain + 1] = text((struct.unpack('>i8', body)))
      plain[#plain + 1] = id
    elseif body then
      local job = read(body)
      make_ready(job, id, text(job.score))
    end
  end
  call('ZREM', due, unpack(names))
  many('ZADD', q .. 'ready', plain)
  return #names, tonumber(call('ZRANGE', due, 0, 0, 'WITHSCORES')[2])
end

-- Lets the first job go that waits for this limit.
local function let_go(q, limit)
  local waiting = q .. 'lh:' .. limit
  local first = call('ZPOPMIN', waiting)
  if call('EXISTS', waiting) == 0 then
    call('SREM', q .. 'holding', limit)
  end
  local id = first[1]
  local body = id and call('HGET', jobs, id)
  if body then
    call('ZREM', q .. 'held', id)
    make_ready(read(body), id, first[2])
  end
end

-- A job that ran runs no more: another of its limit may.
local function end_limit(job, id)
  if job.limit and call('SREM', job.q .. 'lr:' .. job.limit, id) == 1 then
    let_go(job.q, job.limit)
  end
end

local function unlock(job, id)
  if job.mode == UNTIL_STARTED or job.mode == UNTIL_DONE then
    local lock = job.q .. 'u:' .. job.lock
    if call('GET', lock) == id then
      call('DEL', lock)
    end
  end
end

local function forget(job, id)
  unlock(job, id)
  call('HDEL', jobs, id)
  call('ZREM', ids, id)
end

local function bury(job, id, body, reason)
  job.reason, job.changed = reason, now
  write(id, body, job)
  call('ZADD', job.q .. 'dead', text(now), id)
  unlock(job, id)
end
