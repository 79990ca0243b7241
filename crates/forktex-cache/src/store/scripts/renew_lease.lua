-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Makes a lease last from now. KEYS: the lease. ARGV: the token, the lease in milliseconds.
-- Returns 1 if the lease is still the token's.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 0
