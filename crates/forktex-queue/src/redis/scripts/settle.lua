-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Takes the ends of attempts of one queue. ARGV: the queue, how many ended for good of jobs without lock
-- and limit, their leases (id and mark); then of each other attempt its lease, what became of it, a
-- number (ms or the reason) and a note with '=' in front, or ''. Answers 1 or 0 (refused) for each.
local q = queue_keys(ARGV[1])
local running = q .. 'running'
local last = 2 + tonumber(ARGV[2])
local answer, gone, ended = {}, {}, {}
local are_asked = call('EXISTS', cancels) == 1

for from = 3, last, ARGUMENTS_MAX do
  local to = math.min(from + ARGUMENTS_MAX - 1, last)
  local held = call('ZMSCORE', running, unpack(ARGV, from, to))
  for i = from, to do
    if held[i - from + 1] then
      answer[#answer + 1] = 1
      gone[#gone + 1] = ARGV[i]
      ended[#ended + 1] = string.sub(ARGV[i], 1, 16)
    else
      answer[#answer + 1] = 0
    end
  end
end
many('ZREM', running, gone)
many('HDEL', jobs, ended)
many('ZREM', ids, ended)
if are_asked then
  many('SREM', cancels, ended)
end

local function settle(id, outcome, number, note)
  local body = call('HGET', jobs, id)
  if not body then
    return
  end
  local job = read(body)
  local is_asked = are_asked and call('SREM', cancels, id) == 1
  end_limit(job, id)
  if note ~= '' then
    job.note = string.sub(note, 2)
  end
  if outcome == 'done' or is_asked then
    -- Who asked that it ends does not want it again, whatever its body said of it.
    forget(job, id)
  elseif outcome == 'dead' then
    job.attempts = job.attempts + 1
    bury(job, id, body, tonumber(number))
  elseif outcome == 'release' and tonumber(number) == 0 then
    -- Handed back: it keeps its place, and its attempt does not count.
    if job.note then
      write(id, body, job)
    end
    make_ready(job, id, text(job.score))
  else
    local due = now + number
    if outcome == 'retry' then
      job.attempts = job.attempts + 1
    end
    job.changed, job.score = now, due - job.priority * HEAD_START_MS
    write(id, body, job)
    if due > now then
      schedule(q, id, due)
    else
      make_ready(job, id, text(job.score))
    end
  end
end

for i = last + 1, #ARGV, 4 do
  if call('ZREM', running, ARGV[i]) == 1 then
    settle(string.sub(ARGV[i], 1, 16), ARGV[i + 1], ARGV[i + 2], ARGV[i + 3])
    answer[#answer + 1] = 1
  else
    answer[#answer + 1] = 0
  end
end
return answer
