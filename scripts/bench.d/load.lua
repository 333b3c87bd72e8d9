-- Requests for wrk from a file, one a line: method, path, headers, nothing, body, divided by tabs. They are taken in
-- turn. A header's `@KEY@` is a text that no other request has.

local requests, turn = {}, 0
local prefix

function init(args)
    prefix = args[2]
    for line in io.lines(args[1]) do
        local method, path, rest = line:match("^([^\t]*)\t([^\t]*)\t(.*)$")
        local headers, body = {}, nil
        while not body do
            local field, after = rest:match("^([^\t]*)\t(.*)$")
            if field == "" then
                body = after
            else
                local name, value = field:match("^(.-): (.*)$")
                headers[name] = value
                rest = after
            end
        end
        if body == "" then body = nil end
        local text = wrk.format(method, path, headers, body)
        -- Formatted once: the generator must not be what is measured.
        local head, tail = text:match("^(.-)@KEY@(.*)$")
        table.insert(requests, head and {head, tail} or {text})
    end
    turn = math.random(#requests)
end

function request()
    turn = turn + 1
    local parts = requests[turn % #requests + 1]
    if parts[2] then return parts[1] .. prefix .. turn .. parts[2] end
    return parts[1]
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        'RESULT {"requests": %d, "seconds": %f, "p50_ms": %f, "p95_ms": %f, "p99_ms": %f, "errors": '
            .. '{"connect": %d, "read": %d, "write": %d, "timeout": %d, "status": %d}}\n',
        summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(95) / 1e3,
        latency:percentile(99) / 1e3, errors.connect, errors.read, errors.write, errors.timeout, errors.status))
end
