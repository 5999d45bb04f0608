// Words and calls that are not used here, each with what is used instead.
import Testing

/// Something banned.
struct Ban: Sendable, CustomTestStringConvertible {
    let pattern: String
    let instead: String
    /// The paths it holds for.
    var below = ["Sources/"]
    /// Files that are the one place for it.
    var except: [String] = []
    /// A line that matches this is no breach, such as the step of a loop that waits.
    var unless: String?
    /// Whether comments and texts in quotes count as well.
    var inProse = false

    var testDescription: String { pattern }
}

struct BannedTests {
    static let bans: [Ban] = [
        Ban(
            pattern: #"ContinuousClock\.now|ContinuousClock\(\)\.now"#,
            instead: "EventLoop.now, or `now` as a parameter",
            except: ["Sources/JunctionTransport/EventLoop.swift"],
            unless: "let origin = ContinuousClock.now"),
        Ban(
            pattern: #"\bSuspendingClock\b|\bDate\(|\bclock_gettime\(|\bgettimeofday\(|\btime\(nil\)"#,
            instead: "EventLoop.now, or `now` as a parameter",
            except: ["Sources/JunctionTransport/EventLoop.swift"]),
        Ban(
            pattern:
                #"\.random\(|\.randomElement\(\)|\.shuffled\(\)|\bSystemRandomNumberGenerator\b"#,
            instead: "a RandomSource as a parameter", except: ["Sources/JunctionService/Server.swift"],
            unless: #"using: "#),
        Ban(
            pattern: #"\.random\(|\.randomElement\(\)|\.shuffled\(\)"#,
            instead: "a seeded source, its seed printed",
            below: ["Tests/"], unless: #"using: |let seed = "#),
        Ban(
            pattern: #"\bgetenv\(|ProcessInfo\.processInfo\.environment"#,
            instead: "the environment as a parameter",
            except: ["Sources/junction/Check.swift", "Sources/junction/Serve.swift"]),
        Ban(
            pattern: #"(^|[^.\w])(print|debugPrint|dump|NSLog)\("#, instead: "a return value, or an error",
            below: ["Sources/Junction"]),
        Ban(
            pattern: #"\bfatalError\((?!"out of memory"\))"#,
            instead: "precondition for a programmer's error, a thrown error for any other", inProse: true),
        Ban(pattern: #"\btry!|\bas!"#, instead: "do and catch", below: ["Sources/", "tools/"]),
        Ban(pattern: #"\b(u|nano)?sleep\("#, instead: "EventLoop.schedule(after:)"),
        Ban(
            pattern: #"\b(u|nano)?sleep\("#,
            instead: "`eventually { … }`: wait for a condition, not for a time",
            below: ["Tests/Junction", "Tests/GeneratedStubsTests"],
            unless: #"\.milliseconds\(1\)|usleep\(1_000\)|\.seconds\(3600\)"#),
        Ban(
            pattern: #"\b(TODO|FIXME|XXX|HACK)\b"#, instead: "do it, or leave it out",
            below: ["Sources/", "Tests/", "tools/"],
            inProse: true),
        Ban(
            pattern: #"(?i)\b(up|down)stream\b"#, instead: "provider or caller",
            below: ["Sources/", "Protos/"],
            inProse: true),
        Ban(
            pattern: #"(?i)\b(utils?|utilities|helpers?|misc)\b"#, instead: "the name of what it does",
            below: ["Sources/", "Tests/", "tools/", "Protos/"], inProse: true),
    ]

    @Test(arguments: bans)
    func isNotThere(_ ban: Ban) throws {
        let pattern = try regex(ban.pattern)
        let unless = try ban.unless.map(regex)
        var found: [String] = []
        for file in Tree.handWritten
        where ban.below.contains(where: file.path.hasPrefix) && !ban.except.contains(file.path)
            && !file.path.hasPrefix("Tests/TidyTests/")
        {
            let lines = ban.inProse ? file.lines.map(String.init) : file.code
            for (index, line) in lines.enumerated() where line.contains(pattern) {
                if let unless, line.contains(unless) { continue }
                found.append(place(file, index, "\(line.trimmingPrefix { $0 == " " }): use \(ban.instead)"))
            }
        }
        #expect(found == [])
    }

    @Test func namesOfFilesSayWhatTheyDo() throws {
        let vague = try regex(#"(?i)\b(utils?|utilities|helpers?|misc|common|placeholder)\b"#)
        #expect(Tree.files.map(\.path).filter { $0.contains(vague) } == [])
    }

    /// The rules above see what they should.
    @Test func aBanMatchesWhatItBans() throws {
        let breaches = [
            "let now = ContinuousClock.now", "Date()", "Int.random(in: 0...1)",
            "let x = names.randomElement()",
            "Glibc.getenv(name)", "    print(name)", "fatalError()", "try! work()", "usleep(10)",
            "// TODO: later",
            "// the upstream",
            "enum Utils {",
        ]
        for breach in breaches {
            #expect(try Self.bans.contains { breach.contains(try regex($0.pattern)) }, "\(breach)")
        }
        let file = File(
            path: "a.swift", text: "f(\"// Date()\") // Date()\nlet a = \"\"\"\n    Date()\n    \"\"\"\ng()")
        #expect(file.code == ["f(\"\") ", "", "", "", "g()"])
    }
}

/// `\b` in it ends words at every character that is none, also at a dot.
private func regex(_ pattern: String) throws -> Regex<AnyRegexOutput> {
    try Regex(pattern).wordBoundaryKind(.simple)
}
