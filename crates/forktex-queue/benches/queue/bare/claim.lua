-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- The least that gives jobs to a worker such that they are not lost with it: they leave the ready ones in
-- order, and are noted as running until a time. KEYS as in put; ARGV: how many, until when. Answers ids and
-- jobs in turn.
local popped = redis.call('ZPOPMIN', KEYS[2], ARGV[1])
if #popped == 0 then
  return {}
end
local ids, leases, answer = {}, {}, {}
for i = 1, #popped, 2 do
  ids[#ids + 1] = popped[i]
  leases[#leases + 1] = ARGV[2]
  leases[#leases + 1] = popped[i]
end
local jobs = redis.call('HMGET', KEYS[1], unpack(ids))
redis.call('ZADD', KEYS[3], unpack(leases))
for i = 1, #ids do
  answer[2 * i - 1] = ids[i]
  answer[2 * i] = jobs[i]
end
return answer
