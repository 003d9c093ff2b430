import ChaskiCLI
import Testing

#if canImport(Glibc)
    import Glibc
#endif

/// The program as a whole: command lines and their exit status.
@Suite struct ChaskiProgramTests {
    @Test(
        arguments: [
            (["version"], 0), (["version", "--output", "json"], 0), (["--help"], 0),
            (["publish", "--help"], 0), (["nonsense"], 64), (["publish"], 64),
            (["publish", "t", "m", "--ndjson"], 64), (["publish", "t", "--rate", "0"], 64),
            (["publish", "t", "m", "--attribute", "x"], 64), (["subscribe", "s", "--no-ack"], 64),
            (["subscribe", "s", "--exec", "true", "--concurrency", "65"], 64),
            (["subscription", "create", "s", "t", "--start", "sometimes"], 64),
            (["topic", "list", "--output", "xml"], 64), (["topic", "list", "--server", "a:b"], 64),
            (["serve", "--event-loops", "0"], 64), (["serve", "--listen", "0.0.0.0:1"], 64),
            (["bench", "publish", "--size", "1"], 64), (["help"], 0), (["help", "topic"], 0),
            (["help", "nosuch"], 64), (["help", "topic", "nosuch"], 64),
            (["serve", "--log-level", "loud"], 64), (["subscribe", "s", "--exec", " "], 64),
            (["subscribe", "s", "--format", "%z"], 64),
            (["publish", "t", "m", "--attribute", "a=1", "--attribute", "a=2"], 64),
            (["topic", "create", "t", "--max-bytes", "0"], 64),
            (["subscription", "create", "s", "t", "--max-failures", "0"], 64),
            (["subscription", "create", "s", "t", "--lease", "8d"], 64),
            (["subscription", "create", "s", "t", "--max-backoff", "367d"], 64),
            (
                ["subscription", "create", "s", "t", "--min-backoff", "2s", "--max-backoff", "1s"],
                64
            ),
            (["publish", "t", "--file", "/tmp"], 65), (["journal", "verify", "/etc/hostname"], 65),
            (["journal", "verify", "/nowhere/at/all"], 66),
            (["bench", "verify", "--check-only", "--history", "/nowhere/at/all"], 66),
        ] as [([String], Int32)])
    func statuses(_ arguments: [String], _ status: Int32) async {
        #expect(await ChaskiProgram.run(arguments) == status)
    }

    @Test func verdictsBecomeStatuses() async throws {
        #expect(await check([], least: 3) == 0)
        #expect(await check([], least: 4) == 75)
        #expect(await check(["l 0 0 2 1"], least: 3) == 1)
        #expect(await check(["nonsense"], least: 3) == 74)
    }

    /// Writes a history of three messages and `more`, and judges it.
    private func check(_ more: [String], least: Int) async -> Int32 {
        var template = Array("/tmp/chaski-history-XXXXXX".utf8CString)
        let descriptor = mkstemp(&template)
        guard descriptor >= 0 else { return -1 }
        let path = String(
            decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer { unlink(path) }
        var lines = ["t 1 start"]
        for number in 0..<3 {
            lines.append("s 0 \(number)")
            lines.append("o 0 \(number) \(number)")
            lines.append("d \(number) 0 1 0 \(number) 1")
            lines.append("a \(number) 0 1")
        }
        lines.append("t 2 drained")
        for number in 0..<3 { lines.append("l \(number) 0 \(number) 1") }
        lines.append(contentsOf: more)
        lines.append("t 3 audited")
        let text = Array((lines.joined(separator: "\n") + "\n").utf8)
        let written = write(descriptor, text, text.count)
        close(descriptor)
        guard written == text.count else { return -1 }
        return await ChaskiProgram.run([
            "bench", "verify", "--check-only", "--history", path, "--least-stored", "\(least)",
            "--least-indeterminate", "0", "--least-faults", "0",
        ])
    }
}
