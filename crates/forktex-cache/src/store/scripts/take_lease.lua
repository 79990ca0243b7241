-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Asks for the lease of a key. A value that is there wins, unless it is to be loaded anew all the same.
-- KEYS: the value, its lease. ARGV: the token, the lease in milliseconds, '1' to load anew.
-- Returns {0} if the lease is the token's, {1, milliseconds left} if it is another's, and
-- {2, value, milliseconds left or -1} if there is a value.
if ARGV[3] ~= '1' then
  local value = redis.call('GET', KEYS[1])
  if value then
    return {2, value, redis.call('PTTL', KEYS[1])}
  end
end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then
  return {0}
end
return {1, redis.call('PTTL', KEYS[2])}
