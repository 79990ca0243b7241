-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- The names of queues, in no order. ARGV: how many at most, 1 for those that have jobs or are paused or 0
-- for all that are known.
local names = call('SRANDMEMBER', base .. 'queues', ARGV[1])
if ARGV[2] == '0' then
  return names
end
local answer, seen = {}, {}
for _, queue in ipairs(call('SRANDMEMBER', base .. 'paused', ARGV[1])) do
  answer[#answer + 1] = queue
  seen[queue] = true
end
for _, queue in ipairs(names) do
  local q = queue_keys(queue)
  local places = call('EXISTS', q .. 'ready', q .. 'ring', q .. 'due', q .. 'held', q .. 'running', q .. 'dead')
  if not seen[queue] and places > 0 then
    answer[#answer + 1] = queue
  end
end
return answer
