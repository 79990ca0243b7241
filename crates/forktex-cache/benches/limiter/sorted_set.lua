-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- The sliding window as it is usually written: a sorted set with a member for each unit.
--
-- KEYS[1]  the sorted set
-- ARGV     limit, window in us, and a text that makes members distinct
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - window)
local count = redis.call('ZCARD', KEYS[1])
if count < limit then
  redis.call('ZADD', KEYS[1], now, string.format('%.0f-%s', now, ARGV[3]))
  redis.call('PEXPIRE', KEYS[1], math.ceil(window / 1000))
  return { 1, limit - count - 1, 0, window }
end
local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
return { 0, 0, first[2] + window - now, window }
