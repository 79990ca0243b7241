-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Adds to a number, and gives a new one its time.
-- KEYS: the number. ARGV: what is added, the milliseconds of a new one.
-- Returns the number as a text, since Lua's own numbers are not exact above 2^53.
local is_new = redis.call('EXISTS', KEYS[1]) == 0
redis.call('INCRBY', KEYS[1], ARGV[1])
if is_new then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return redis.call('GET', KEYS[1])
