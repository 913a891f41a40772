-- The requests of a load, for wrk: `wrk -s requests.lua URL -- FILE`. Each line of FILE is one request: method, path and
-- body, separated by tabs. Every thread sends them in random order.

local requests = {}
local threads = 0

function setup(thread)
    threads = threads + 1
    thread:set("number", threads)
end

function init(arguments)
    math.randomseed(number)
    for line in io.lines(arguments[1]) do
        local method, path, body = line:match("^(%u+)\t([^\t]+)\t?(.*)$")
        local headers = {}
        if body ~= "" then
            headers["Content-Type"] = "application/json"
        else
            body = nil
        end
        requests[#requests + 1] = wrk.format(method, path, headers, body)
    end
end

function request()
    return requests[math.random(#requests)]
end

-- One line of JSON. Times are in microseconds.
function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        '\n{"answers":%d,"micros":%d,"failures":%d,"p50":%d,"p99":%d}\n',
        summary.requests, summary.duration,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout,
        latency:percentile(50), latency:percentile(99)))
end
