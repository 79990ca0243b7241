-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- The least that puts jobs in: KEYS are the jobs, those ready, those running; ARGV ids and jobs in turn.
for i = 1, #ARGV, 500 do
  local to = math.min(i + 499, #ARGV)
  redis.call('HSET', KEYS[1], unpack(ARGV, i, to))
  local ready = {}
  for j = i, to, 2 do
    ready[#ready + 1] = j
    ready[#ready + 1] = ARGV[j]
  end
  redis.call('ZADD', KEYS[2], unpack(ready))
end
return #ARGV / 2
