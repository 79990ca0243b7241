-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Removes a dead letter. ARGV: its id. Answers 1, or 0 where there is no such dead letter.
local id = ARGV[1]
local body = call('HGET', jobs, id)
if not body then
  return 0
end
local job = read(body)
if call('ZREM', job.q .. 'dead', id) == 0 then
  return 0
end
forget(job, id)
return 1
