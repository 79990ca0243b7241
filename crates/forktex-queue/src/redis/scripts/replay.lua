-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Makes a dead letter ready again. ARGV: its id. Answers 1, the id of the job that holds its lock, or 0
-- where there is no such dead letter.
local id = ARGV[1]
local body = call('HGET', jobs, id)
if not body then
  return 0
end
local job = read(body)
if not call('ZSCORE', job.q .. 'dead', id) then
  return 0
end
if job.lock then
  local lock = job.q .. 'u:' .. job.lock
  local holder = call('GET', lock)
  if holder and holder ~= id then
    return holder
  end
  if job.mode == UNTIL_STARTED or job.mode == UNTIL_DONE then
    call('SET', lock, id)
  end
end
call('ZREM', job.q .. 'dead', id)
job.attempts, job.reason, job.changed, job.note = 0, 0, now, ''
job.score = now - job.priority * HEAD_START_MS
write(id, body, job)
make_ready(job, id, text(job.score))
return 1
