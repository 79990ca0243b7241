-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Writes what was loaded under a lease, and ends the lease.
-- KEYS: the value, its lease. ARGV: the token, the value, its milliseconds.
-- Returns 1 if it was written: not where the lease is another's, or was ended by a delete meanwhile.
if redis.call('GET', KEYS[2]) ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('DEL', KEYS[2])
return 1
