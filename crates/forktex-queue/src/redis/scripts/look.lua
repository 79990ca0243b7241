-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Looks at jobs. ARGV: how many at most; the status or 0, then queue, name and tenant, each with '=' in
-- front or '' for any; then 'after' and an id or '', or 'these' and ids in order. Answers the last id
-- looked at, 1 where that was the last there is, then of each job: id, status, when it is due or its
-- lease ends, its mark, 1 where it is asked to end, and the job itself.
local PAGE, PART = 500, 50
local SCHEDULED, READY, HELD, RUNNING, DEAD = 1, 2, 3, 4, 5
local want, status = tonumber(ARGV[1]), tonumber(ARGV[2])
local names, is_page = {}, ARGV[6] == 'after'
if is_page then
  local from = ARGV[7] == '' and '-' or '(' .. ARGV[7]
  names = call('ZRANGEBYLEX', ids, from, '+', 'LIMIT', 0, PAGE)
else
  for i = 7, #ARGV do
    names[#names + 1] = ARGV[i]
  end
end

local function is_wanted(filter, value)
  return filter == '' or string.sub(filter, 2) == value
end

-- Where it is. A job that runs is found by its absence elsewhere.
local function place(job, id)
  local q = job.q
  local due = call('ZSCORE', q .. 'due', id)
  if due then
    return SCHEDULED, tonumber(due)
  elseif call('ZSCORE', ready_key(job), id) then
    return READY, 0
  elseif call('ZSCORE', q .. 'held', id) then
    return HELD, 0
  elseif call('ZSCORE', q .. 'dead', id) then
    return DEAD, 0
  end
  return RUNNING, 0
end

-- Finds the leases of jobs that run. Beyond 20,000 that do, the others go without.
local function find_leases(q, records)
  for from = 0, 19000, 1000 do
    local members = call('ZRANGE', q .. 'running', from, from + 999, 'WITHSCORES')
    for i = 1, #members, 2 do
      local record = records[string.sub(members[i], 1, 16)]
      if record then
        record[3], record[4] = tonumber(members[i + 1]), string.sub(members[i], 17)
      end
    end
    if #members < 2000 then
      break
    end
  end
end

local answer, found, running = { '', 0 }, 0, {}
local looked_at = 0
for from = 1, #names, PART do
  if found == want then
    break
  end
  local bodies = call('HMGET', jobs, unpack(names, from, math.min(from + PART - 1, #names)))
  for i = 1, #bodies do
    if found == want then
      break
    end
    looked_at = from + i - 1
    local id, body = names[looked_at], bodies[i]
    local job = body and read(body)
    if job and is_wanted(ARGV[3], job.queue) and is_wanted(ARGV[4], job.name) and is_wanted(ARGV[5], job.tenant) then
      local at, due = place(job, id)
      if status == 0 or status == at then
        local is_asked = at == RUNNING and call('SISMEMBER', cancels, id) or 0
        local record = { id, at, due, '', is_asked, body }
        if at == RUNNING then
          running[job.q] = running[job.q] or {}
          running[job.q][id] = record
        end
        found = found + 1
        answer[2 + found] = record
      end
    end
  end
end
for q, records in pairs(running) do
  find_leases(q, records)
end
answer[1] = names[looked_at] or ''
if looked_at == #names and (not is_page or #names < PAGE) then
  answer[2] = 1
end
return answer
