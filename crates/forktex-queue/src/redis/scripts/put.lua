-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Puts jobs in, all of them at once. ARGV: the schedule that fires or '', its tick in milliseconds; then
-- of each job its id, when it is due (0 now, more: in so many ms, less: at that ms), and what is stored
-- of it but for its head. Answers nil where the tick was fired already, else for each job '' or the id
-- of the one that holds its lock.
if ARGV[1] ~= '' then
  local fired = call('HGET', base .. 'ticks', ARGV[1])
  if fired and tonumber(fired) >= tonumber(ARGV[2]) then
    return false
  end
  call('HSET', base .. 'ticks', ARGV[1], ARGV[2])
end

local names = {}
for i = 3, #ARGV, 3 do
  names[#names + 1] = ARGV[i]
end
-- A client that lost the answer sends the same jobs again.
local known = {}
for from = 1, #names, ARGUMENTS_MAX do
  local to = math.min(from + ARGUMENTS_MAX - 1, #names)
  local scores = call('ZMSCORE', ids, unpack(names, from, to))
  for i = from, to do
    known[i] = scores[i - from + 1]
  end
end

local answer, stored, index, ready, queues = {}, {}, {}, {}, {}
local head, head_score
for i, id in ipairs(names) do
  local when, rest = tonumber(ARGV[3 * i + 1]), ARGV[3 * i + 2]
  local flags, _, priority, queue = struct.unpack('>BHhHc0', rest)
  local q = queue_keys(queue)
  local job, holder
  if flags > 0 and not known[i] then
    -- As it will be stored, so that there is one reader.
    job = read(struct.pack(HEAD, 0, 0, 0, 0, 0, 0) .. rest)
    if job.lock then
      local lock = q .. 'u:' .. job.lock
      local is_taken
      if job.mode == FOR_A_TIME then
        is_taken = call('SET', lock, id, 'NX', 'PX', text(job.lock_ms))
      else
        is_taken = call('SET', lock, id, 'NX')
      end
      holder = not is_taken and call('GET', lock)
    end
  end
  answer[i] = holder or ''
  if not holder and not known[i] then
    local due = now
    if when > 0 then
      due = now + when
    elseif when < 0 then
      due = math.max(-when, now)
    end
    local score = due - priority * HEAD_START_MS
    if score ~= head_score then
      head, head_score = struct.pack(HEAD, score, now, 0, now, 0, 0), score
    end
    stored[#stored + 1] = id
    stored[#stored + 1] = head .. rest
    index[#index + 1] = 0
    index[#index + 1] = id
    queues[queue] = q
    if due > now then
      schedule(q, id, due)
    elseif job and job.tenant ~= '' then
      make_ready(job, id, text(score))
    else
      local list = ready[q]
      if not list then
        list = {}
        ready[q] = list
      end
      list[#list + 1] = text(score)
      list[#list + 1] = id
    end
  end
end

many('HSET', jobs, stored)
many('ZADD', ids, index)
for queue, q in pairs(queues) do
  call('SADD', base .. 'queues', queue)
  local list = ready[q]
  if list then
    if not is_woken and call('EXISTS', q .. 'ready', q .. 'ring') == 0 then
      wake()
    end
    many('ZADD', q .. 'ready', list)
  end
end
return answer
