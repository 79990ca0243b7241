-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- The ids of all jobs in one place of some queues. ARGV: the place (`due`, `held`, `running` or `dead`),
-- how many at most, the queues. Answers nil where there are more.
local total, answer = 0, {}
for i = 3, #ARGV do
  total = total + call('ZCARD', queue_keys(ARGV[i]) .. ARGV[1])
end
if total > tonumber(ARGV[2]) then
  return false
end
for i = 3, #ARGV do
  for _, member in ipairs(call('ZRANGE', queue_keys(ARGV[i]) .. ARGV[1], 0, -1)) do
    answer[#answer + 1] = string.sub(member, 1, 16)
  end
end
return answer
