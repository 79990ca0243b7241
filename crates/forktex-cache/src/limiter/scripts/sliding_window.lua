-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- The exact sliding window. `sliding_window.rs` says the same in Rust; a test holds them together.
--
-- KEYS[1]  a string: for each unit that was taken, when, oldest first, as 7 bytes of microseconds
-- ARGV     limit, window in us, cost, `1` to look without taking, and the time in us (tests alone)
-- Answer   whether it is allowed (1 or 0), what remains, us until it is worth another try, us until
--          all of the limit is free
--
-- Up to PAGE units take three commands: the whole log is read and written. Beyond that the log is
-- searched in place, grows at its end, and is rewritten when more of it is dead than alive.
local PAGE = 128
local SLACK_MS = 100
local key, limit, window, cost = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local looks, now = ARGV[4] == '1', tonumber(ARGV[5])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end

-- `page` holds what was read of the log: the units from index `from` on.
local page, from, length = nil, 0, nil
if limit <= PAGE then
  page = redis.call('GETRANGE', key, -7 * limit, -1)
  length = math.floor(#page / 7)
else
  length = math.floor(redis.call('STRLEN', key) / 7)
  page = redis.call('GETRANGE', key, -7 * PAGE, -1)
  from = math.max(length - PAGE, 0)
end

local function at(index)
  local offset = (index - from) * 7
  if offset >= 0 and offset + 7 <= #page then
    return (struct.unpack('>I7', page, offset + 1))
  end
  return (struct.unpack('>I7', redis.call('GETRANGE', key, index * 7, index * 7 + 6)))
end

-- Where the clock went back, all is reckoned at the last time that was written, and the log is moved.
local last = length > 0 and at(length - 1) or now
local behind = math.max(last - now, 0)
now = now + behind

-- How many of the log are out of the window. More than the limit never are in it.
local dead, high = math.max(length - limit, 0), length
while dead < high do
  if dead < from and high - dead <= PAGE then
    page, from = redis.call('GETRANGE', key, dead * 7, high * 7 - 1), dead
  end
  local middle = math.floor((dead + high) / 2)
  if at(middle) <= now - window then
    dead = middle + 1
  else
    high = middle
  end
end

local live = length - dead
local remaining = limit - live
local allowed = cost <= remaining
local retry, reset = 0, 0
if live > 0 then
  reset = last + window - now
end
if not allowed then
  retry = at(length - limit + cost - 1) + window - now
end
if looks or not (allowed or behind > 0) then
  return { allowed and 1 or 0, remaining, retry, reset }
end

local added = ''
if allowed then
  added = string.rep(struct.pack('>I7', now - behind), cost)
  remaining, reset = remaining - cost, window
end
local lives_ms = math.ceil(window / 1000) + SLACK_MS
if behind == 0 and limit > PAGE and dead <= live then
  redis.call('APPEND', key, added)
  redis.call('PEXPIRE', key, lives_ms)
  return { 1, remaining, retry, reset }
end

if from > dead or (dead - from + live) * 7 > #page then
  page, from = redis.call('GETRANGE', key, dead * 7, length * 7 - 1), dead
end
local kept = ''
if behind > 0 then
  local moved = {}
  for index = dead, length - 1 do
    moved[#moved + 1] = struct.pack('>I7', at(index) - behind)
  end
  kept = table.concat(moved)
elseif live > 0 then
  kept = string.sub(page, (dead - from) * 7 + 1, (length - from) * 7)
end
redis.call('SET', key, kept .. added, 'PX', lives_ms)
return { allowed and 1 or 0, remaining, retry, reset }
