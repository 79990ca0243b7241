-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- The generic cell rate algorithm, as a bucket that leaks. `gcra.rs` says the same in Rust; a test holds
-- them together.
--
-- KEYS[1]  a string of 14 bytes: when the level was taken (us), and the level, of which a unit of cost
--          adds `period` and a microsecond drains `rate`; so all of it is whole numbers
-- ARGV     rate, period in us, burst, cost, `1` to look without taking, and the time in us (tests alone)
-- Answer   whether it is allowed (1 or 0), what remains, us until it is worth another try, us until
--          all of the burst is free
local SLACK_MS = 100
local key, rate, period = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local burst, cost = tonumber(ARGV[3]), tonumber(ARGV[4])
local looks, now = ARGV[5] == '1', tonumber(ARGV[6])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end

local full, level, since = burst * period, 0, now
local state = redis.call('GET', key)
if state and #state == 14 then
  since, level = struct.unpack('>I7I7', state)
end
-- Where the clock went back, nothing has drained, and it drains from now on.
local behind = since > now
if not behind then
  level = level - (now - since) * rate
end
level = math.min(math.max(level, 0), full)

local room = full - level
local allowed = cost * period <= room
local retry = 0
if allowed and not looks then
  level = level + cost * period
elseif not allowed then
  retry = math.ceil((cost * period - room) / rate)
end
local reset = math.ceil(level / rate)
if (allowed or behind) and not looks then
  local lives_ms = math.ceil(reset / 1000) + SLACK_MS
  redis.call('SET', key, struct.pack('>I7I7', now, level), 'PX', lives_ms)
end
return { allowed and 1 or 0, math.floor((full - level) / period), retry, reset }
