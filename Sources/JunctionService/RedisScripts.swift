// What Redis does for the usage store, in Lua: one script reserves for a call, one takes an instance's report
// and gives news, one only looks. What they mean is told by `InProcessUsageStore`, in Swift.
import JunctionOutbound
import JunctionRouting

/// Keys of a model group, all in one slot of a cluster by their tag:
/// - `NAMESPACE:{GROUP}:use`: a hash. Of each deployment NAME (empty: the whole group) `t|NAME`, `r|NAME` and
///   `p|NAME`: tokens, requests and places in flight; `T|BUCKET|NAME` and `R|BUCKET|NAME`: buckets;
///   `e|NAME`: the last bucket that has left; `c|NAME` and `k|NAME`: end of a cooldown in ms, and its cause;
///   `lw|NAME` and `lf|NAME`: latencies in ns; `s`: the latest bucket, so that time never goes back; and `x`:
///   how far it has been looked for deployments that are no more.
/// - `NAMESPACE:{GROUP}:members`: a sorted set of the instances by when they were last heard, in ms.
/// - `NAMESPACE:{GROUP}:held`: a hash. Of each instance MEMBER `e|MEMBER`, its epoch; `p|MEMBER|NAME`, places
///   in flight.
/// - `NAMESPACE:{GROUP}:told:MEMBER`: the number of its last report. It outlives the membership, as what was
///   reported does.
/// - `NAMESPACE:{GROUP}:spend`: a hash. `NAME`: billionths of a dollar; `p|NAME`: the time of the budget.
struct RedisScripts: Sendable {
    let reserve: RedisScript
    let exchange: RedisScript
    let look: RedisScript

    /// - Parameter time: how a script reads the clock: seconds and microseconds. Tests have their own.
    init(time: String = "redis.call('TIME')") {
        let common = Self.common.replacing("$TIME", with: time)
        reserve = RedisScript(common + Self.reserveText)
        exchange = RedisScript(common + Self.exchangeText)
        look = RedisScript(common + Self.lookText)
    }

    private static let common = """
        local call = redis.call
        local use, members, held, spend, told = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
        -- Buckets: length in ms, number in a second and in the window, and how far ahead blocks go.
        local length, perSecond = \(1000 / StoreClock.bucketsASecond), \(StoreClock.bucketsASecond)
        local window, ahead = \(StoreClock.windowBuckets), \(InProcessUsageStore.bucketsAhead)
        local time = $TIME
        local second, micros = tonumber(time[1]), tonumber(time[2])
        local now = second * 1000 + math.floor(micros / 1000)
        local bucket = math.floor(now / length)
        local latest = tonumber(call('HGET', use, 's') or 0)
        if latest < bucket then call('HSET', use, 's', bucket) else bucket = latest end
        local last = bucket - window

        -- Buckets leave that are over since the one after `e`; of so many tokens and requests remain these.
        local function leave(n, e, tokens, requests)
            local fields = {}
            for s = e + 1, math.min(last, e + window + 2 * ahead + 1) do
                fields[#fields + 1] = 'T|' .. s .. '|' .. n
                fields[#fields + 1] = 'R|' .. s .. '|' .. n
            end
            local old = call('HMGET', use, unpack(fields))
            local gone = {}
            for i = 1, #old, 2 do
                if old[i] then tokens = tokens - old[i]; gone[#gone + 1] = fields[i] end
                if old[i + 1] then requests = requests - old[i + 1]; gone[#gone + 1] = fields[i + 1] end
            end
            if #gone > 0 then call('HDEL', use, unpack(gone)) end
            return tokens, requests
        end

        -- A row of the arguments: name, limits of tokens, requests and parallel, budget, its seconds, cost;
        -- -1 is no limit. With what is counted, after buckets have left whose time is over.
        local function row(at)
            local w = { name = ARGV[at], tl = tonumber(ARGV[at + 1]), rl = tonumber(ARGV[at + 2]),
                pl = tonumber(ARGV[at + 3]), bl = tonumber(ARGV[at + 4]), bs = tonumber(ARGV[at + 5]),
                cost = tonumber(ARGV[at + 6]), spent = 0 }
            local n = w.name
            local f = call('HMGET', use, 't|' .. n, 'r|' .. n, 'p|' .. n, 'e|' .. n, 'c|' .. n)
            w.t, w.r, w.p = tonumber(f[1] or 0), tonumber(f[2] or 0), tonumber(f[3] or 0)
            w.c = tonumber(f[5] or 0)
            local e = tonumber(f[4] or -1)
            if e < 0 then
                call('HSET', use, 'e|' .. n, last)
            elseif e < last then
                w.t, w.r = leave(n, e, w.t, w.r)
                call('HSET', use, 'e|' .. n, last, 't|' .. n, w.t, 'r|' .. n, w.r)
            end
            if w.bl >= 0 then
                w.period = math.floor(bucket / perSecond / w.bs)
                local b = call('HMGET', spend, n, 'p|' .. n)
                if tonumber(b[2] or -1) == w.period then
                    w.spent = tonumber(b[1])
                else
                    call('HSET', spend, n, 0, 'p|' .. n, w.period)
                end
                if call('TTL', spend) < w.bs + 125 then call('EXPIRE', spend, w.bs + 125) end
            end
            return w
        end

        local function hasRoom(w, tokens)
            return w.c <= now and (w.tl < 0 or w.t + tokens <= w.tl) and (w.rl < 0 or w.r < w.rl)
                and (w.pl < 0 or w.p < w.pl) and (w.bl < 0 or w.spent + w.cost <= w.bl)
        end

        local function count(w, s, tokens, requests)
            local n = w.name
            w.t, w.r = w.t + tokens, w.r + requests
            if tokens ~= 0 then
                call('HINCRBY', use, 't|' .. n, tokens)
                call('HINCRBY', use, 'T|' .. s .. '|' .. n, tokens)
            end
            if requests ~= 0 then
                call('HINCRBY', use, 'r|' .. n, requests)
                call('HINCRBY', use, 'R|' .. s .. '|' .. n, requests)
            end
        end

        local function pay(w, cost)
            if w.bl < 0 or cost == 0 then return end
            w.spent = w.spent + cost
            call('HINCRBY', spend, w.name, cost)
        end

        local function hold(w, whole, member, change)
            if change == 0 then return end
            for _, v in ipairs(whole and { w, whole } or { w }) do
                v.p = v.p + change
                call('HINCRBY', use, 'p|' .. v.name, change)
                call('HINCRBY', held, 'p|' .. member .. '|' .. v.name, change)
            end
        end

        local function take(w, whole, member, s, tokens, requests, parallel, cost)
            for _, v in ipairs(whole and { w, whole } or { w }) do
                count(v, s, tokens, requests)
                pay(v, cost)
            end
            if w.pl >= 0 or whole and whole.pl >= 0 then hold(w, whole, member, parallel) end
        end

        -- Of what is wanted, an even share of half of what is left.
        local function grant(w, whole, member, tokens, requests, parallel)
            if tokens == 0 and requests == 0 and parallel == 0 then return 0, 0, 0, bucket + ahead end
            local s = bucket + ahead
            local wantedTokens, wantedRequests = tokens, requests
            local parts = 2 * math.max(1, call('ZCARD', members))
            local function share(wanted, limit, used)
                if limit < 0 then return wanted end
                return math.min(wanted, math.floor(math.max(0, limit - used) / parts))
            end
            for _, v in ipairs(whole and { w, whole } or { w }) do
                -- Near a limit it ends with the next bucket: so what it took is free sooner.
                if v.tl >= 0 and v.t > math.floor(v.tl / 2) or v.rl >= 0 and v.r > math.floor(v.rl / 2) then
                    s = bucket + 1
                end
                tokens, requests = share(tokens, v.tl, v.t), share(requests, v.rl, v.r)
                parallel = share(parallel, v.pl, v.p)
            end
            -- Tokens without a request are of no use, nor is a request without tokens.
            if wantedTokens > 0 and tokens == 0 or wantedRequests > 0 and requests == 0 then
                tokens, requests = 0, 0
            end
            take(w, whole, member, s, tokens, requests, parallel, 0)
            return tokens, requests, parallel, s
        end

        local function keep()
            call('EXPIRE', use, 125)
            call('EXPIRE', members, 125)
            call('EXPIRE', held, 125)
        end


        """

    /// Arguments: member, epoch, tokens, 1 where the least used is chosen and 2 more where cooldowns do not
    /// count, the block's tokens, requests and parallel, whether the first row is the whole group, rows.
    /// Answer: -1 for a stranger; 0 and the wait in ms, -1 for ever, when full; else 1, the candidate, the
    /// bucket, the block, its bucket, the clock.
    private static let reserveText = """
        local member, tokens = ARGV[1], tonumber(ARGV[3])
        if call('HGET', held, 'e|' .. member) ~= ARGV[2] then return { -1 } end
        local at, whole = 9, nil
        if ARGV[8] == '1' then whole = row(at); at = at + 7 end
        local rows, choice = {}, nil
        local isLeastUsed, isInSpite = ARGV[4] % 2 == 1, tonumber(ARGV[4]) >= 2
        while at <= #ARGV do
            local w = row(at)
            rows[#rows + 1] = w
            if isInSpite then w.c = 0 end
            local isBetter = not choice or isLeastUsed and w.t < rows[choice].t
            if isBetter and hasRoom(w, tokens) then choice = #rows end
            at = at + 7
        end
        keep()
        if whole then
            if choice then whole.cost = rows[choice].cost end
            if not hasRoom(whole, tokens) then choice = nil end
        end
        if choice then
            local w = rows[choice]
            take(w, whole, member, bucket, tokens, 1, 1, w.cost)
            local bt, br, bp, bs =
                grant(w, whole, member, tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]))
            return { 1, choice - 1, bucket, bt, br, bp, bs, tonumber(time[1]), micros }
        end

        local function opens(w)
            if w.tl >= 0 and tokens > w.tl then return end
            local wait = math.max(0, w.c - now)
            if w.pl >= 0 and w.p >= w.pl then wait = math.max(wait, 50) end
            if w.bl >= 0 and w.spent + w.cost > w.bl then
                if w.cost > w.bl then return end
                wait = math.max(wait, (w.period + 1) * w.bs * 1000 - now)
            end
            local t, r, s = w.t, w.r, last
            local function full()
                return w.tl >= 0 and t + tokens > w.tl or w.rl >= 0 and r >= w.rl
            end
            local old, from
            while full() and s < bucket + ahead do
                s = s + 1
                if not from or s - from >= 32 then
                    from = s
                    local fields = {}
                    for i = s, s + 31 do
                        fields[#fields + 1] = 'T|' .. i .. '|' .. w.name
                        fields[#fields + 1] = 'R|' .. i .. '|' .. w.name
                    end
                    old = call('HMGET', use, unpack(fields))
                end
                local i = 2 * (s - from) + 1
                local dt, dr = tonumber(old[i] or 0), tonumber(old[i + 1] or 0)
                t, r = t - dt, r - dr
                if dt ~= 0 or dr ~= 0 then wait = math.max(wait, (s + window) * length - now) end
            end
            return wait
        end
        local first
        for _, w in ipairs(rows) do
            local wait = opens(w)
            if wait and (not first or wait < first) then first = wait end
        end
        if first and whole then
            local wait = opens(whole)
            first = wait and math.max(wait, first)
        end
        return { 0, first or -1 }
        """

    /// Arguments: member, epoch, number, purpose, the member's lifetime in ms, whether the first row is the
    /// whole group, the number of entries; the whole row; entries: row, tokens, requests and parallel wanted,
    /// parallel given back, cooldown in ms (-1: over), cause, latencies in ns; corrections: entry, bucket,
    /// tokens, requests, cost. Answer: -1 for a stranger; else 1, instances, whether it was known, clock;
    /// then for each entry tokens, requests, parallel, spent, the block's tokens, requests, parallel and
    /// bucket, cooldown in ms, cause, latencies.
    private static let exchangeText = """
        local member, epoch, purpose = ARGV[1], ARGV[2], tonumber(ARGV[4])
        local known = call('HGET', held, 'e|' .. member)
        local number = call('GET', told)
        if purpose == 0 and known ~= epoch or purpose == 2 and not known then return { -1 } end
        if purpose == 1 then call('HSET', held, 'e|' .. member, epoch) end
        call('ZADD', members, now, member)

        local function free(name)
            local all = call('HGETALL', held)
            local mine = 'p|' .. name .. '|'
            for i = 1, #all, 2 do
                if string.sub(all[i], 1, #mine) == mine then
                    call('HINCRBY', use, 'p|' .. string.sub(all[i], #mine + 1), 0 - all[i + 1])
                    call('HDEL', held, all[i])
                end
            end
            call('HDEL', held, 'e|' .. name)
            call('ZREM', members, name)
        end
        local silent = '(' .. now - tonumber(ARGV[5])
        for _, name in ipairs(call('ZRANGEBYSCORE', members, '-inf', silent)) do free(name) end

        local at, whole = 8, nil
        if ARGV[6] == '1' then whole = row(at); at = at + 7 end
        local entries = {}
        for i = 1, tonumber(ARGV[7]) do
            local w = row(at)
            w.at = at + 7
            entries[i] = w
            at = at + 15
        end

        local function correct(w, s, tokens, requests, cost)
            if w.bl >= 0 then
                pay(w, math.floor(s / perSecond / w.bs) == w.period and cost or math.max(0, cost))
            end
            if s <= last then s, tokens, requests = bucket, math.max(0, tokens), math.max(0, requests) end
            count(w, s, tokens, requests)
        end

        if tonumber(ARGV[3]) > tonumber(number or 0) then
            call('SET', told, ARGV[3])
            while at <= #ARGV do
                local w, s = entries[ARGV[at] + 1], tonumber(ARGV[at + 1])
                local tokens, requests = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
                local cost = tonumber(ARGV[at + 4])
                correct(w, s, tokens, requests, cost)
                if whole then correct(whole, s, tokens, requests, cost) end
                at = at + 5
            end
            for _, w in ipairs(entries) do
                local n = w.name
                local back, cooling = tonumber(ARGV[w.at + 3]), tonumber(ARGV[w.at + 4])
                if purpose ~= 1 and back > 0 then
                    local mine = tonumber(call('HGET', held, 'p|' .. member .. '|' .. n) or 0)
                    hold(w, whole, member, 0 - math.min(mine, back))
                end
                if cooling < 0 then
                    w.c = 0
                    call('HDEL', use, 'c|' .. n, 'k|' .. n)
                elseif cooling > 0 and now + cooling > w.c then
                    w.c = now + cooling
                    call('HSET', use, 'c|' .. n, w.c, 'k|' .. n, ARGV[w.at + 5])
                end
                for i, field in ipairs({ 'lw|', 'lf|' }) do
                    local sample = tonumber(ARGV[w.at + 5 + i])
                    if sample > 0 then
                        local mean = tonumber(call('HGET', use, field .. n) or sample)
                        call('HSET', use, field .. n, math.floor(mean + (sample - mean) / 4))
                    end
                end
            end
        end

        -- Forgets deployments that no report has named for so long that all they used has left: a few fields
        -- are looked at with each tenth report.
        local function sweep()
            local found = call('HSCAN', use, call('HGET', use, 'x') or 0, 'MATCH', 'e|*', 'COUNT', 30)
            call('HSET', use, 'x', found[1])
            for i = 1, #found[2], 2 do
                local n, e = string.sub(found[2][i], 3), tonumber(found[2][i + 1])
                if e + window + 2 * ahead < last and tonumber(call('HGET', use, 'p|' .. n) or 0) == 0 then
                    leave(n, e, 0, 0)
                    for _, kind in ipairs({ 't', 'r', 'p', 'e', 'c', 'k', 'lw', 'lf' }) do
                        call('HDEL', use, kind .. '|' .. n)
                    end
                end
            end
        end

        local answer = { 1, call('ZCARD', members), number and 1 or 0, tonumber(time[1]), micros }
        for _, w in ipairs(entries) do
            local n = w.name
            if purpose == 1 then
                local mine = tonumber(call('HGET', held, 'p|' .. member .. '|' .. n) or 0)
                hold(w, whole, member, ARGV[w.at + 3] - mine)
            end
            local bt, br, bp, bs = 0, 0, 0, bucket + ahead
            if purpose ~= 2 then
                local a = w.at
                bt, br, bp, bs =
                    grant(w, whole, member, tonumber(ARGV[a]), tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2]))
            end
            local f = call('HMGET', use, 'k|' .. n, 'lw|' .. n, 'lf|' .. n)
            local its = {
                w.t, w.r, w.p, w.spent, bt, br, bp, bs,
                math.max(0, w.c - now), f[1] or '',
                tonumber(f[2] or 0), tonumber(f[3] or 0),
            }
            for _, value in ipairs(its) do answer[#answer + 1] = value end
        end
        if purpose == 2 then free(member) end
        if tonumber(ARGV[3]) % 10 == 0 then sweep() end
        keep()
        call('EXPIRE', told, 125)
        return answer
        """

    /// Arguments: rows. Answer: the number of instances; each with how long ago it was heard, in ms; for each
    /// row tokens, requests, parallel, billionths of a dollar, cooldown in ms, cause. Only takes out what has
    /// left its window.
    private static let lookText = """
        local names = call('ZRANGE', members, 0, -1, 'WITHSCORES')
        local answer = { #names / 2 }
        for i = 1, #names, 2 do
            answer[#answer + 1] = names[i]
            answer[#answer + 1] = math.max(0, now - names[i + 1])
        end
        for at = 1, #ARGV, 7 do
            local w = row(at)
            local its = {
                w.t, w.r, w.p, w.spent, math.max(0, w.c - now), call('HGET', use, 'k|' .. w.name) or '',
            }
            for _, value in ipairs(its) do answer[#answer + 1] = value end
        end
        keep()
        return answer
        """
}
