// `junction load`: loads a running router, reports what came of it, judges and compares.
import ArgumentParser
import Glibc
import JunctionConfig
import JunctionLoad
import JunctionReport
import JunctionTransport

struct Load: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Load a running router and report latency, throughput and errors.",
        discussion: """
            Examples:
              junction load --model gpt-4o                 16 calls at once for 10 s
              junction load --model gpt-4o --rate 500      500 calls/s, come what may
              junction load --model gpt-4o --stream --rate 50 --html report.html
              junction load --mix mix.yaml --rate 100 --slo 'p99<50ms,errors<0.1%'
              junction load --model gpt-4o --rate 100 --find-max --slo 'p99<20ms'
              junction load --compare before.json after.json
              junction load --model gpt-4o --rate 100000 --processes 4

            With --rate, --steps or --replay the loop is open: calls start when they
            are due, and their latency counts from then, so that a server that stands
            still shows in it. With --concurrency it is closed: a call waits for an
            earlier one to end, as in a caller with a fixed number of threads; such a
            load slows down with the server and hides its pauses.

            A mix file is a YAML list, or JSON lines, of kinds of request:
              - {model: gpt-4o, weight: 3, stream: true, prompt_bytes: 800}
              - {model: small, prompt_bytes: "uniform:100-500", max_tokens: 256}
              - {model: gpt-4o, sessions: 50, tags: [eu], fallbacks: [small]}
            prompt_bytes is N, uniform:LEAST-MOST, exponential:MEAN or
            lognormal:MEDIAN:SIGMA; prompt and system are texts. sessions spreads the
            calls over so many session keys; tags, regions, priority, num_retries and
            fallbacks go to the router with the call. A fallback is a model group or
            {model, api_key, api_base, api_version}, where os.environ/NAME is read from
            the environment. What a kind leaves out is as the options say.

            A trace file has a line a call: the second of its start, alone or as
            seconds,model,prompt_tokens,completion_tokens[,stream] as for junction
            simulate, or a JSON object with `at` and keys of a mix.

            A run can be made by several processes, which begin at one instant and give
            one report, its percentiles those of all calls: --processes 4 starts them
            here. To have them on several machines:
              junction load --model gpt-4o --rate 100000 --lead 0.0.0.0:7000 --processes 3
              junction load --join LEADER:7000        on three machines
            Rate, concurrency, calls and connections are those of all together; threads
            are those of each. Who can reach the port can join and sees what is asked.

            Objectives for --slo, each with < or > and a value:
              pNN         latency at a percentile, as p99<50ms or p99.9<1s
              mean, max   latency
              ttft.pNN    time to first token; gap.pNN: between messages
              errors      share of failed calls, as errors<0.1%
              rate        answered calls a second; tokens: completion tokens a second

            The report goes to standard output, progress and objectives to standard
            error. Exit code 0; 1 when there is no router or a file is wrong; 2 when an
            objective is missed, no call was answered, or calls failed and no objective
            speaks of errors; 64 wrong arguments.
            """)

    @Option(name: .shortAndLong, help: "The model group to ask.")
    var model: String?

    @Option(help: "Address of the router.")
    var address = "127.0.0.1:50051"

    @Flag(help: "Ask by Stream instead of Complete.")
    var stream = false

    @Option(help: "Length of the prompts: bytes, or a distribution of them (see above).")
    var promptBytes = "400"

    @Option(help: "The prompt itself, instead of one of --prompt-bytes.")
    var prompt: String?

    @Option(help: "Most tokens to generate.")
    var maxTokens: Int32?

    @Option(help: "A file with kinds of request and their weights.")
    var mix: String?

    @Option(help: "Open loop: calls started each second.")
    var rate: Double?

    @Option(help: "Open loop: the rate goes from --rate to this one over the duration.")
    var rampTo: Double?

    @Option(help: "Open loop: rates one after the other, as 100:10s,200:10s.")
    var steps: String?

    @Option(help: "Open loop: a trace file with a call on each line (see above).")
    var replay: String?

    @Option(help: "How calls of an open loop are spread: constant or poisson.")
    var arrivals = ArrivalPattern.constant

    @Option(help: "Closed loop: calls at once (default: 16, when there is no rate).")
    var concurrency: Int?

    @Option(help: "How long, as 30s or 2m (default: 10s).")
    var duration: String?

    @Option(help: "Most calls; the run ends earlier when they are done.")
    var calls: Int?

    @Option(help: "Warm-up at the first rate before it counts.")
    var warmUp = "1s"

    @Option(help: "Threads that make calls, in each process.")
    var threads = 1

    @Option(help: "Processes that make the run together.")
    var processes = 1

    @Option(help: "Wait at HOST:PORT for the processes to join, instead of starting them here.")
    var lead: String?

    @Option(help: "Join the run that is led at HOST:PORT; the leader has all other options.")
    var join: String?

    @Option(help: "Connections in all.")
    var connections = 8

    @Option(help: "Time that a call may take.")
    var timeout = "60s"

    @Option(help: "Seed of arrivals, prompts and the mix: the same seed makes the same load.")
    var seed: UInt64 = 1

    @Option(help: "Objectives, as 'p99<50ms,errors<0.1%'; the exit code says whether they are met.")
    var slo: String?

    @Flag(help: "Search the highest rate that meets --slo, beginning with --rate; each try has the duration.")
    var findMax = false

    @Option(help: "Write the report as JSON.")
    var json: String?

    @Option(help: "Write the report as a web page with plots; it needs no network.")
    var html: String?

    @Flag(help: "Show no progress.")
    var quiet = false

    @Option(parsing: .upToNextOption, help: "Compare two reports made by --json, and load nothing.")
    var compare: [String] = []

    func validate() throws {
        if !compare.isEmpty {
            guard compare.count == 2 else {
                throw ValidationError("--compare takes two files: A.json B.json.")
            }
            return
        }
        if let join {
            _ = try destination(of: join, option: "--join")
            return
        }
        if (model ?? "").isEmpty && mix == nil {
            throw ValidationError("Say what to ask for: --model NAME, or --mix FILE.")
        }
        let open = [rate != nil, steps != nil, replay != nil].count { $0 }
        if open > 1 || (open == 1 && concurrency != nil) {
            throw ValidationError("Only one of --rate, --steps, --replay and --concurrency can be given.")
        }
        if let rate, !(rate > 0 && rate <= 1e7) {
            throw ValidationError("--rate must be more than 0, not \(rate).")
        }
        if let rampTo, !(rampTo >= 0 && rampTo <= 1e7) || rate == nil {
            throw ValidationError("--ramp-to needs --rate, and must be 0 or more, not \(rampTo).")
        }
        if let concurrency, !(1...1_000_000).contains(concurrency) {
            throw ValidationError("--concurrency must be 1 to 1000000, not \(concurrency).")
        }
        if let calls, calls < 1 { throw ValidationError("--calls must be 1 or more, not \(calls).") }
        if let maxTokens, maxTokens < 1 {
            throw ValidationError("--max-tokens must be 1 or more, not \(maxTokens).")
        }
        if !(1...256).contains(threads) {
            throw ValidationError("--threads must be 1 to 256, not \(threads).")
        }
        if !(1...256).contains(processes) {
            throw ValidationError("--processes must be 1 to 256, not \(processes).")
        }
        if let lead { _ = try destination(of: lead, option: "--lead") }
        if !(1...100_000).contains(connections) {
            throw ValidationError("--connections must be 1 to 100000, not \(connections).")
        }
        if findMax, rate == nil || slo == nil || rampTo != nil {
            throw ValidationError("--find-max needs --slo, and --rate as the first rate to try.")
        }
        _ = try objectives()
        _ = try kindFromOptions()
        if let steps { _ = try told { () throws(LoadError) in try RateProfile(steps: steps) } }
        _ = try destination(of: address)
        for (name, text) in [("duration", duration ?? "10s"), ("timeout", timeout)]
        where (seconds(text) ?? 0) <= 0 {
            throw ValidationError("--\(name) must be a time, as 30s or 500ms, not '\(text)'.")
        }
        if seconds(warmUp) == nil { throw ValidationError("--warm-up must be a time, not '\(warmUp)'.") }
    }

    func run() throws {
        do {
            if compare.count == 2 { return try printComparison() }
            if let join { return try make(partOf: join) }
            let plan = try plan()
            let objectives = try objectives()
            let report = findMax ? try searchMaximum(plan, objectives) : try run(plan)
            try printNow(report.text())
            try write(report)
            try judge(report, objectives)
        } catch let error as LoadError {
            printError("junction: \(error)\n")
            throw ExitCode(1)
        }
    }

    // MARK: The plan

    private func plan() throws -> LoadPlan {
        var plan = LoadPlan()
        (plan.host, plan.port) = try destination(of: address)
        let base = try kindFromOptions()
        plan.kinds = try mix.map { try readMix(text(of: $0), file: $0, base: base) } ?? [base]
        plan.seconds = seconds(duration ?? "10s") ?? 10
        plan.warmUpSeconds = seconds(warmUp) ?? 0
        plan.timeoutSeconds = seconds(timeout) ?? 60
        plan.callsMax = calls
        plan.threads = threads
        plan.processes = processes
        plan.connections = connections
        plan.seed = seed
        if let rate {
            let piece = RateProfile.Piece(seconds: plan.seconds, from: rate, to: rampTo ?? rate)
            plan.pacing = .rate(RateProfile([piece]), arrivals)
        } else if let steps {
            plan.pacing = .rate(try RateProfile(steps: steps), arrivals)
        } else if let replay {
            plan.pacing = .trace(try readTrace(text(of: replay), file: replay, base: base))
        } else {
            plan.pacing = .concurrency(concurrency ?? 16)
        }
        return plan
    }

    private func kindFromOptions() throws -> RequestKind {
        var kind = RequestKind(model: model ?? "")
        kind.streams = stream
        kind.promptBytes = try told { () throws(LoadError) in try SizeDistribution(promptBytes) }
        kind.prompt = prompt
        kind.maxTokens = maxTokens
        return kind
    }

    private func objectives() throws -> [Objective] {
        guard let slo else { return [] }
        return try told { () throws(LoadError) in try Objective.list(slo) }
    }

    /// An option's fault as the parser tells it.
    private func told<T>(_ body: () throws(LoadError) -> T) throws -> T {
        do { return try body() } catch {
            let text = "\(error)"
            throw ValidationError(text.prefix(1).uppercased() + text.dropFirst() + ".")
        }
    }

    private func text(of file: String) throws -> String {
        guard let bytes = try? readFile(file), let text = String(validating: bytes, as: UTF8.self) else {
            throw LoadError("\(file): this file cannot be read as UTF-8 text")
        }
        return text
    }

    // MARK: Running

    private func run(_ plan: LoadPlan) throws -> LoadReport {
        let screen = StatusLine(isShown: !quiet && standardErrorIsTerminal())
        defer { screen.clear() }
        if plan.processes == 1, lead == nil {
            return try LoadRun.run(plan, interrupts: [SIGINT, SIGTERM]) { screen.show($0) }
        }
        let (host, port) = try lead.map { try destination(of: $0, option: "--lead") } ?? ("127.0.0.1", 0)
        let leader = try LoadLeader(plan, host: host, port: port)
        let children = lead == nil ? try startProcesses(joining: leader.port) : []
        defer { for child in children { child.wait() } }
        return try leader.run(
            patience: lead == nil ? 30 : nil, interrupts: [SIGINT, SIGTERM],
            joined: { count in
                if lead != nil, !quiet { printError("\(count) of \(plan.processes) processes have joined\n") }
            }, progress: { screen.show($0) })
    }

    /// Starts processes of this program that join the run led here. They end with it.
    private func startProcesses(joining port: Int) throws -> [ChildProcess] {
        try (0..<processes).map { _ in
            // What goes wrong there the leader tells.
            try ChildProcess(ofThisProgramWith: ["load", "--join", "127.0.0.1:\(port)", "--quiet"])
        }
    }

    /// Makes this process's part of one run after the other, until there is no further one.
    private func make(partOf leader: String) throws {
        let (host, port) = try destination(of: leader, option: "--join")
        var runs = 0
        while case .made(let calls) = try JoinedRun.join(host: host, port: port, patience: runs == 0 ? 10 : 3)
        {
            runs += 1
            if !quiet { printError("made \(counted(calls, "call")) of the run led at \(leader)\n") }
        }
        if runs == 0 { throw LoadError("nobody at \(leader) leads a run that lacks a process") }
    }

    private func searchMaximum(_ plan: LoadPlan, _ objectives: [Objective]) throws -> LoadReport {
        var search = MaximumSearch(from: rate ?? 1)
        var best: LoadReport?
        while let next = search.next {
            var plan = plan
            plan.pacing = .rate(.constant(next, seconds: plan.seconds), arrivals)
            let report = try run(plan)
            let missed = objectives.filter { !$0.isMet(by: report) }
            let reasons =
                missed.map { "\($0): \($0.shown(in: report))" } + [report.shortfall].compactMap { $0 }
            search.tried(reasons.isEmpty)
            if reasons.isEmpty { best = report }
            let verdict = reasons.isEmpty ? "met" : "missed: " + reasons.joined(separator: ", ")
            printError("\(fixed(next, 0)) calls/s: \(verdict)\n")
            if best == nil, search.next == nil { best = report }
        }
        guard let best else { throw LoadError("no rate could be tried") }
        if let met = search.met {
            try printNow(
                "The highest rate that meets \(slo ?? ""): \(fixed(met, 0)) calls/s\n\n")
        } else {
            try printNow("No rate meets \(slo ?? "").\n\n")
        }
        return best
    }

    // MARK: The result

    private func write(_ report: LoadReport) throws {
        for (file, bytes) in [(json, try report.json()), (html, Array(report.html().utf8))] {
            guard let file else { continue }
            do { try writeFile(bytes, to: file) } catch {
                throw LoadError("\(file): this file cannot be written")
            }
        }
    }

    private func judge(_ report: LoadReport, _ objectives: [Objective]) throws {
        var isMissed = report.succeeded == 0
        for objective in objectives {
            let isMet = objective.isMet(by: report)
            printError("\(isMet ? "met   " : "MISSED") \(objective): \(objective.shown(in: report))\n")
            if !isMet { isMissed = true }
        }
        if report.failed > 0, !objectives.contains(where: { $0.measure == .errors }) { isMissed = true }
        if isMissed { throw ExitCode(2) }
    }

    private func printComparison() throws {
        let reports = try compare.map { file in
            do { return try LoadReport(json: readFile(file)) } catch {
                throw LoadError("\(file): this is no report made by junction load --json")
            }
        }
        try printNow(Comparison(reports[0], reports[1]).text(a: compare[0], b: compare[1]))
    }
}

extension ArrivalPattern: ExpressibleByArgument {}

/// One line on standard error that is written over and over while a run goes on.
private final class StatusLine {
    private let isShown: Bool
    private var last = LoadProgress()

    init(isShown: Bool) { self.isShown = isShown }

    func show(_ progress: LoadProgress) {
        guard isShown, progress.seconds - last.seconds > 0.5 || progress.seconds < last.seconds else {
            return
        }
        let seconds = progress.seconds - last.seconds
        let rate = Double(progress.succeeded - last.succeeded) / seconds
        let tokens = Double(progress.tokens - last.tokens) / seconds
        last = progress
        if progress.seconds < 0 { return printError("\r\u{1b}[Kwarming up") }
        let underWay = progress.started - progress.succeeded - progress.failed
        let numbers = [
            (fixed(progress.seconds, 0), 5, "s"), (fixed(rate, 0), 8, "calls/s"),
            (fixed(tokens, 0), 8, "tokens/s"),
        ].map { number, width, unit in padded(number, width) + " " + unit }
        printError(
            "\r\u{1b}[K\(numbers.joined(separator: "  "))  \(progress.succeeded) answered  "
                + "\(progress.failed) failed  \(underWay) under way")
    }

    func clear() {
        if isShown { printError("\r\u{1b}[K") }
    }
}
