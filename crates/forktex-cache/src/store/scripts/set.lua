-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Writes a value and ends the lease of its key, so that a load that began before does not overwrite it.
-- KEYS: the value, its lease. ARGV: the value, its milliseconds or '', 'NX', 'XX' or ''.
-- Returns 1 if it was written.
local command = {'SET', KEYS[1], ARGV[1]}
if ARGV[2] ~= '' then
  command[#command + 1] = 'PX'
  command[#command + 1] = ARGV[2]
end
if ARGV[3] ~= '' then
  command[#command + 1] = ARGV[3]
end
if not redis.call(unpack(command)) then
  return 0
end
redis.call('DEL', KEYS[2])
return 1
