-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Gives jobs to a worker. ARGV: for how many ms, how many at most, the ends of two marks (of jobs
-- without lock and limit, and of the others), then the queues in order. Answers the beginning of the
-- marks, 1 where more is ready, in how many ms the next job is due or -1, then ids and jobs in turn.
local lease_until = text(now + ARGV[1])
local want = math.min(tonumber(ARGV[2]), ARGUMENTS_MAX)
-- The time of the claim is the beginning of its marks: so it need not be kept apart.
local stamp = struct.pack('>I6', now)
local plain, tied = stamp .. ARGV[3], stamp .. ARGV[4]
local PROMOTED_MAX = 500
-- Jobs that are looked at beyond those wanted, as some must wait for their limit.
local LOOKED_AT_MAX = 1000

local answer = { stamp, 0, -1 }

-- Nil where a job of this rate may start now, which is noted; else the ms when it may.
local function wait_for_rate(job)
  local log, plan = job.q .. 'll:' .. job.limit, job.q .. 'lp:' .. job.limit
  local count, per = job.rate, job.per_us
  -- Both lists have the latest time first.
  local nth = call('LINDEX', log, count - 1)
  if not nth or nth + per <= now_us then
    local kept = math.max(count, call('LLEN', log))
    call('LPUSH', log, text(now_us))
    call('LTRIM', log, 0, kept - 1)
    local keep_ms = math.ceil(per / 1000) + 1000
    if call('PTTL', log) < keep_ms then
      call('PEXPIRE', log, text(keep_ms))
    end
    return nil
  end
  -- Those that wait already come first, each at its own time, so that they do not all come back at once.
  for _ = 1, 100 do
    local oldest = call('LINDEX', plan, -1)
    if not oldest or tonumber(oldest) > now_us then
      break
    end
    call('RPOP', plan)
  end
  local planned = call('LLEN', plan)
  local before
  if planned >= count then
    before = call('LINDEX', plan, count - 1)
  else
    before = call('LINDEX', log, count - 1 - planned)
  end
  local at = before + per
  call('LPUSH', plan, text(at))
  call('LTRIM', plan, 0, count - 1)
  call('PEXPIRE', plan, text(math.ceil((at - now_us) / 1000) + 1000))
  return math.ceil(at / 1000)
end

-- Whether a job with a lock or a limit may start; one that may not is put where it waits.
local function may_start(job, id, score)
  local q = job.q
  if job.limit then
    local running = q .. 'lr:' .. job.limit
    if job.concurrency > 0 and call('SCARD', running) >= job.concurrency then
      call('ZADD', q .. 'held', score, id)
      call('ZADD', q .. 'lh:' .. job.limit, score, id)
      call('SADD', q .. 'holding', job.limit)
      return false
    end
    local at = job.rate > 0 and wait_for_rate(job)
    if at then
      schedule(q, id, at)
      return false
    end
    call('SADD', running, id)
  end
  if job.mode == UNTIL_STARTED then
    unlock(job, id)
  end
  return true
end

-- Takes from the front: of one list, or by turns where there are tenants.
local function pop(q, most)
  local ready, ring = q .. 'ready', q .. 'ring'
  if call('EXISTS', ring) == 0 then
    return call('ZPOPMIN', ready, most)
  end
  -- Those without a tenant take their turn as one tenant.
  if call('EXISTS', ready) == 1 then
    join_ring(q, '')
  end
  local turns = call('ZPOPMIN', ring, math.min(most, ARGUMENTS_MAX / 2))
  local tenants = #turns / 2
  local turn = call('INCRBY', q .. 'turn', tenants) - tenants
  local popped, back, left, tenanted = {}, {}, most, 0
  for i = 1, tenants do
    local tenant = turns[2 * i - 1]
    local from = tenant == '' and ready or q .. 't:' .. tenant
    local share = math.ceil(left / (tenants - i + 1))
    local taken = call('ZPOPMIN', from, share)
    for j = 1, #taken do
      popped[#popped + 1] = taken[j]
    end
    local count = #taken / 2
    left = left - count
    if tenant ~= '' then
      tenanted = tenanted + count
    end
    if count == share and call('EXISTS', from) == 1 then
      back[#back + 1] = turn + i
      back[#back + 1] = tenant
    end
  end
  many('ZADD', ring, back)
  if tenanted > 0 then
    call('DECRBY', q .. 'tenanted', tenanted)
  end
  return popped
end

-- Leases what was popped, but for those that must wait; gives how many.
local function lease(q, popped)
  local names = {}
  for i = 1, #popped, 2 do
    names[#names + 1] = popped[i]
  end
  local bodies = call('HMGET', jobs, unpack(names))
  local leases = {}
  for i, id in ipairs(names) do
    local body = bodies[i]
    if body then
      local mark, is_given = plain, true
      if string.byte(body, HEAD_BYTES + 1) > TENANT then
        mark, is_given = tied, may_start(read(body), id, popped[2 * i])
      end
      if is_given then
        answer[#answer + 1] = id
        answer[#answer + 1] = body
        leases[#leases + 1] = lease_until
        leases[#leases + 1] = id .. mark
      end
    end
  end
  many('ZADD', q .. 'running', leases)
  return #leases / 2
end

local next_due
for i = 5, #ARGV do
  local queue = ARGV[i]
  if call('SISMEMBER', base .. 'paused', queue) == 0 then
    local q = queue_keys(queue)
    if want > 0 then
      local promoted, due = promote(q, PROMOTED_MAX)
      if promoted > want then
        wake()
      end
      local looked_at = 0
      while want > 0 and looked_at < LOOKED_AT_MAX do
        local popped = pop(q, want)
        if #popped == 0 then
          break
        end
        local leased = lease(q, popped)
        looked_at = looked_at + #popped / 2 - leased
        want = want - leased
      end
      if looked_at > 0 then
        due = tonumber(call('ZRANGE', q .. 'due', 0, 0, 'WITHSCORES')[2])
      end
      if due and (not next_due or due < next_due) then
        next_due = due
      end
    end
    if answer[2] == 0 and call('EXISTS', q .. 'ready', q .. 'ring') > 0 then
      answer[2] = 1
    end
  end
end
if next_due then
  answer[3] = math.max(next_due - now, 0)
  if answer[3] == 0 then
    answer[2] = 1
  end
end
return answer
