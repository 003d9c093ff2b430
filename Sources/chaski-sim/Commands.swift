import ChaskiSimulation
import Foundation
import Synchronization

/// Prints a line at once, so that it is not lost when the process dies.
@Sendable func emit(_ line: String) { FileHandle.standardOutput.write(Data((line + "\n").utf8)) }

/// Runs one seed and prints its history.
struct ReplayCommand {
    let arguments: Arguments

    init(_ arguments: Arguments) { self.arguments = arguments }

    func run() -> Int32 {
        guard let seed = arguments.words.first.flatMap({ UInt64($0) }),
            var options = arguments.options
        else {
            print(Arguments.usage)
            return 64
        }
        if !arguments.has("--quiet") { options.printer = emit }
        let report = SeedReport.run(seed: seed, options: options, twice: false)
        print(
            "seed \(seed): \(report.operations) operations, hash \(String(report.hash, radix: 16))")
        for violation in report.violations {
            print("VIOLATION \(violation.check) at \(violation.time): \(violation.message)")
        }
        return report.violations.isEmpty ? 0 : 1
    }
}

/// Runs a range of seeds and prints one line for each; `run` reads them.
struct WorkerCommand {
    let arguments: Arguments
    /// Of processor time; a busy machine condemns no seed.
    static let secondsPerSeed = 120

    init(_ arguments: Arguments) { self.arguments = arguments }

    func run() -> Int32 {
        guard let options = arguments.options else { return 64 }
        let first = arguments.number("--first", default: 1)
        for seed in first..<(first + arguments.number("--seeds", default: 1)) {
            // A seed takes about a second: one that never ends costs the process.
            Self.limitTime()
            let report = SeedReport.run(
                seed: UInt64(seed), options: options, twice: !arguments.has("--once"))
            for violation in report.violations {
                let message = violation.message.replacing("\n", with: " ")
                emit("violation\t\(seed)\t\(violation.check)\t\(violation.time)\t\(message)")
            }
            let together = report.together.map { String($0, radix: 16) }.joined(separator: ",")
            emit(
                "seed\t\(seed)\t\(report.operations)\t\(report.hash)\t\(report.features)"
                    + "\t\(report.faults)\t\(together)")
        }
        return 0
    }
}

extension WorkerCommand {
    /// The process dies of SIGVTALRM when this seed is at it for too long.
    private static func limitTime() {
        var limit = itimerval(
            it_interval: timeval(tv_sec: 0, tv_usec: 0),
            it_value: timeval(tv_sec: secondsPerSeed, tv_usec: 0))
        setitimer(__itimer_which_t(ITIMER_VIRTUAL.rawValue), &limit, nil)
    }
}

/// Runs the exhaustive sweep of one scenario, or of all.
struct SweepCommand {
    let arguments: Arguments

    init(_ arguments: Arguments) { self.arguments = arguments }

    func run() -> Int32 {
        let name = arguments.words.first ?? "all"
        let scenarios = SweepScenario.allCases.filter { name == "all" || name == $0.rawValue }
        guard !scenarios.isEmpty else {
            print(Arguments.usage)
            return 64
        }
        let seed = UInt64(arguments.number("--first", default: 1))
        if let kind = arguments.text("--replay").flatMap({ SweepFault.Kind(rawValue: $0) }) {
            return replay(scenarios[0], kind, seed)
        }
        let next = Mutex(0)
        let failures = Mutex(0)
        let jobs = max(1, min(scenarios.count, arguments.number("--jobs", default: 1)))
        DispatchQueue.concurrentPerform(iterations: jobs) { _ in
            while let scenario = next.withLock({ Self.take(scenarios, &$0) }) {
                let found = Self.sweep(scenario, seed)
                failures.withLock { $0 += found }
            }
        }
        return failures.withLock { $0 } > 0 ? 1 : 0
    }

    private static func take(_ scenarios: [SweepScenario], _ next: inout Int) -> SweepScenario? {
        guard next < scenarios.count else { return nil }
        defer { next += 1 }
        return scenarios[next]
    }

    /// Sweeps one scenario and prints what broke; says how many cases did.
    private static func sweep(_ scenario: SweepScenario, _ seed: UInt64) -> Int {
        let report = scenario.sweep(seed: seed) { number, all in
            if number % 25 == 0 {
                emit("... \(scenario.rawValue): operation \(number) of \(all)")
            }
        }
        var lines = [
            "sweep \(scenario.rawValue): \(report.operations) file operations, \(report.runs) runs, "
                + "\(report.failures.count) violations"
        ]
        for (fault, violation) in report.failures.prefix(10) {
            let again = fault.recoveryOperation.map { ", again at \($0) of recovery" } ?? ""
            lines.append(
                "  \(fault.kind.rawValue) at \(fault.operation)\(again): \(violation.check): "
                    + violation.message)
        }
        emit(lines.joined(separator: "\n"))
        return report.failures.count
    }

    private func replay(_ scenario: SweepScenario, _ kind: SweepFault.Kind, _ seed: UInt64) -> Int32
    {
        let fault = SweepFault(
            kind: kind, operation: arguments.number("--at", default: 1),
            recoveryOperation: arguments.text("--again").flatMap { Int($0) })
        let violations = scenario.replay(fault, seed: seed, printer: emit)
        for violation in violations { emit("VIOLATION \(violation.check): \(violation.message)") }
        return violations.isEmpty ? 0 : 1
    }
}
