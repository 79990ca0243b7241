-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Pauses or resumes a queue. ARGV: the queue, 1 to pause it or 0.
if ARGV[2] == '1' then
  call('SADD', base .. 'paused', ARGV[1])
elseif call('SREM', base .. 'paused', ARGV[1]) == 1 then
  wake()
end
return 1
