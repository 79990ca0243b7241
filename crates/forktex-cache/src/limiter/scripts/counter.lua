-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- The counter of a fixed window, which begins with its first call. `counter.rs` says the same in Rust; a
-- test holds them together.
--
-- KEYS[1]  a string of 14 bytes: when the window began (us), and what was taken in it
-- ARGV     limit, window in us, cost, `1` to look without taking, and the time in us (tests alone)
-- Answer   whether it is allowed (1 or 0), what remains, us until it is worth another try, us until
--          all of the limit is free
local SLACK_MS = 100
local key, limit, window, cost = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local looks, now = ARGV[4] == '1', tonumber(ARGV[5])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end

local since, count = now, 0
local state = redis.call('GET', key)
if state and #state == 14 then
  since, count = struct.unpack('>I7I7', state)
end
-- Where the clock went back, the window begins again with what was taken in it.
local behind = since > now
if behind then
  since = now
elseif now - since >= window then
  since, count = now, 0
end

local allowed = count + cost <= limit
local retry, reset = 0, 0
if allowed and not looks then
  count = count + cost
elseif not allowed then
  retry = since + window - now
end
if count > 0 then
  reset = since + window - now
end
if (allowed or behind) and not looks then
  local lives_ms = math.ceil((since + window - now) / 1000) + SLACK_MS
  redis.call('SET', key, struct.pack('>I7I7', since, count), 'PX', lives_ms)
end
return { allowed and 1 or 0, math.max(limit - count, 0), retry, reset }
