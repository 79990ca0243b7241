-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Makes leases of one queue last longer. ARGV: the queue, for how many ms from now, the leases (id and
-- mark). Answers 1 for each that is held, 2 where it is also asked to end, 0 where it is lost.
local running = queue_keys(ARGV[1]) .. 'running'
local lease_until = text(now + ARGV[2])
local are_asked = call('EXISTS', cancels) == 1
local answer, renewed = {}, {}
for from = 3, #ARGV, ARGUMENTS_MAX do
  local to = math.min(from + ARGUMENTS_MAX - 1, #ARGV)
  local held = call('ZMSCORE', running, unpack(ARGV, from, to))
  for i = from, to do
    local state = 0
    if held[i - from + 1] then
      state = 1
      renewed[#renewed + 1] = lease_until
      renewed[#renewed + 1] = ARGV[i]
      if are_asked and call('SISMEMBER', cancels, string.sub(ARGV[i], 1, 16)) == 1 then
        state = 2
      end
    end
    answer[#answer + 1] = state
  end
end
many('ZADD', running, renewed)
return answer
