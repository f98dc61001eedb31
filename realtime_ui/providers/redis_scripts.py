"""What Redis does at one stroke for presence: who is on a channel by when their lease ends, and what each said.

Each script is given the sorted set of leases, the hash of what is said, and the channel that changes go to. Time
is Redis's own, in ms. What Redis 6.2 knows is enough: fields of a hash need no life of their own.
"""

_COMMON = """
local leases, said, changes = KEYS[1], KEYS[2], KEYS[3]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local function tell(action, client, data)
    local text = '{"action":"' .. action .. '","client":' .. cjson.encode(client) .. ',"data":' .. data .. '}'
    redis.call('PUBLISH', changes, text)
end

local function leave(client)
    local data = redis.call('HGET', said, client)
    redis.call('ZREM', leases, client)
    redis.call('HDEL', said, client)
    if data then tell('LEAVE', client, data) end
end

for _, client in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', now)) do leave(client) end
"""

PUT = (
    _COMMON
    + """
local client, data, lease, renew = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4] == '1'
local known = redis.call('HEXISTS', said, client) == 1
redis.call('ZADD', leases, string.format('%.0f', now + lease), client)
redis.call('HSET', said, client, data)
redis.call('PEXPIRE', leases, 2 * lease)
redis.call('PEXPIRE', said, 2 * lease)
if not known then tell('ENTER', client, data) elseif not renew then tell('UPDATE', client, data) end
"""
)
"""ARGV: client, data as JSON, lease in ms, and 1 where it only renews. Tells of an enter, or of an update."""

LEAVE = _COMMON + "leave(ARGV[1])"
"""ARGV: client. Tells of it with what was last said, unless the client was not there."""

LOOK = _COMMON + "return redis.call('HGETALL', said)"
"""Returns clients and what they say, one after the other."""
