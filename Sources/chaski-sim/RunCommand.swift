import ChaskiSimulation
import Foundation
import Synchronization

/// Runs many seeds in worker processes, so that a trap is a finding like any other.
final class RunCommand: Sendable {
    private struct State {
        var summary = RunSummary()
        var next: Int
        var shown = Date()
    }

    private let first: Int
    private let seeds: Int
    private let jobs: Int
    private let deadline: Date?
    private let passedOn: [String]
    private let stopsAtFirst: Bool
    private let isQuiet: Bool
    private let state: Mutex<State>
    private let began = Date()
    /// Seeds per worker process.
    private static let chunk = 20

    init(_ arguments: Arguments) {
        first = arguments.number("--first", default: 1)
        let minutes = arguments.text("--minutes").flatMap { Double($0) }
        deadline = minutes.map { Date().addingTimeInterval($0 * 60) }
        seeds = arguments.number("--seeds", default: minutes == nil ? 100 : 1_000_000_000)
        jobs = max(1, min(64, arguments.number("--jobs", default: 1)))
        var passedOn: [String] = []
        if arguments.has("--once") { passedOn.append("--once") }
        if let name = arguments.text("--mutation") { passedOn += ["--mutation", name] }
        self.passedOn = passedOn
        stopsAtFirst = arguments.has("--stop")
        isQuiet = arguments.has("--quiet")
        state = Mutex(State(next: first))
    }

    func run() -> Int32 {
        DispatchQueue.concurrentPerform(iterations: jobs) { _ in
            while let chunk = takeChunk() { work(chunk) }
        }
        let summary = state.withLock { $0.summary }
        let seconds = Date().timeIntervalSince(began)
        emit(
            "\(summary.seeds) seeds in \(Int(seconds)) s: \(summary.totalOperations) operations, median "
                + "\(summary.medianOperations) a seed, \(summary.failing.count) seeds with violations"
        )
        if !isQuiet {
            emit("\nSeeds in which a feature (row) took effect after a fault (column) had struck:")
            emit(summary.table)
            if !summary.idle.isEmpty {
                emit("\nnever took effect: \(summary.idle.joined(separator: " "))")
            }
            let untried = summary.untried
            if !untried.isEmpty {
                let more = untried.count > 30 ? " and \(untried.count - 30) more" : ""
                emit("\nnever together: \(untried.prefix(30).joined(separator: " "))\(more)")
            }
        }
        for report in summary.failing.sorted(by: { $0.seed < $1.seed }).prefix(20) {
            for violation in report.violations.prefix(1) {
                emit("seed \(report.seed): \(violation.check): \(violation.message)")
            }
        }
        return summary.failing.isEmpty ? 0 : 1
    }

    private func takeChunk() -> Range<Int>? {
        if let deadline, Date() > deadline { return nil }
        return state.withLock { state in
            if stopsAtFirst, !state.summary.failing.isEmpty { return nil }
            let begin = state.next
            // Whoever wants the first violation does not wait for the rest of a chunk.
            let end = min(first + seeds, begin + (stopsAtFirst ? 1 : Self.chunk))
            guard begin < end else { return nil }
            state.next = end
            return begin..<end
        }
    }

    /// Runs a chunk; a worker that dies costs the seed that it was at, and another goes on.
    private func work(_ chunk: Range<Int>) {
        var next = chunk.lowerBound
        while next < chunk.upperBound {
            let (reports, died) = runWorker(next..<chunk.upperBound)
            for report in reports { add(report) }
            next += reports.count
            guard died, next < chunk.upperBound else { continue }
            add(
                SeedReport(
                    seed: UInt64(next), operations: 0, hash: 0, features: 0, faults: 0,
                    together: [],
                    violations: [
                        Violation(
                            check: "trap",
                            message: "the process died in this seed, or was at it for "
                                + "\(WorkerCommand.secondsPerSeed) s of processor time", time: 0)
                    ]))
            next += 1
            if stopsAtFirst { return }
        }
    }

    private func add(_ report: SeedReport) {
        state.withLock { state in
            state.summary.add(report)
            for violation in report.violations {
                emit("VIOLATION seed \(report.seed): \(violation.check): \(violation.message)")
            }
            if !isQuiet, Date().timeIntervalSince(state.shown) > 5 {
                state.shown = Date()
                emit(
                    "... \(state.summary.seeds) seeds, \(Int(Date().timeIntervalSince(began))) s, "
                        + "\(state.summary.failing.count) with violations")
            }
        }
    }

    private func runWorker(_ seeds: Range<Int>) -> (reports: [SeedReport], died: Bool) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        process.arguments =
            ["worker", "--first", String(seeds.lowerBound), "--seeds", String(seeds.count)]
            + passedOn
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return ([], true) }
        let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        var reports: [SeedReport] = []
        var violations: [Violation] = []
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: "\t", omittingEmptySubsequences: false)
            if fields.count == 5, fields[0] == "violation" {
                violations.append(
                    Violation(
                        check: String(fields[2]), message: String(fields[4]),
                        time: Int64(fields[3]) ?? 0))
            } else if fields.count == 7, fields[0] == "seed" {
                reports.append(
                    SeedReport(
                        seed: UInt64(fields[1]) ?? 0, operations: Int(fields[2]) ?? 0,
                        hash: UInt64(fields[3]) ?? 0, features: UInt64(fields[4]) ?? 0,
                        faults: UInt64(fields[5]) ?? 0,
                        together: fields[6].split(separator: ",").map {
                            UInt64($0, radix: 16) ?? 0
                        }, violations: violations))
                violations = []
            }
        }
        return (reports, process.terminationStatus != 0 || process.terminationReason != .exit)
    }
}
