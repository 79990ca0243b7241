-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- How much is in a queue. ARGV: the queue. Answers the counts of ready, scheduled, held, running and dead
-- jobs, 1 where it is paused, and for how many ms the first ready job has been ready, or -1.
local TENANTS_MAX = 1000
local q = queue_keys(ARGV[1])
local first_id, first_score

local function look(key)
  local first = call('ZRANGE', key, 0, 0, 'WITHSCORES')
  if first[1] and (not first_score or tonumber(first[2]) < first_score) then
    first_id, first_score = first[1], tonumber(first[2])
  end
end

look(q .. 'ready')
-- Of very many tenants, those whose turn comes next.
for _, tenant in ipairs(call('ZRANGE', q .. 'ring', 0, TENANTS_MAX - 1)) do
  if tenant ~= '' then
    look(q .. 't:' .. tenant)
  end
end
local age = -1
local body = first_id and call('HGET', jobs, first_id)
if body then
  age = math.max(now - (first_score + read(body).priority * HEAD_START_MS), 0)
end
return {
  call('ZCARD', q .. 'ready') + tonumber(call('GET', q .. 'tenanted') or 0),
  call('ZCARD', q .. 'due'),
  call('ZCARD', q .. 'held'),
  call('ZCARD', q .. 'running'),
  call('ZCARD', q .. 'dead'),
  call('SISMEMBER', base .. 'paused', ARGV[1]),
  age,
}
