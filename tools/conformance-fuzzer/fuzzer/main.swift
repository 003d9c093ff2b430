// Decodes mutated inputs; see tools/fuzz.
//
//   fuzzer CORPUS SECONDS SEED
//   fuzzer replay SYNTAX BUDGET FILE
//
// CORPUS: records of a byte (2 or 3, the syntax), a length of 4 bytes and an input. What is found is
// written to a file of its own, with the command that replays it.
import CHeap
import ChaskiProtobuf
import Glibc
import Testee

/// The figures of a run.
struct Tally {
    var inputs = 0
    var accepted = 0
    var refused: [String: Int] = [:]
    var changed = 0
    var overBudget = 0
    /// Heap bytes of one decoding, the input's copy not counted: the most, and for which budget.
    var peak: Int64 = 0
    var peakBudget = 0
    /// The largest part of a budget that was used, of decodings above the slack.
    var largestShare = 0.0
}

/// What `malloc` and Swift's arrays round up beside the bytes that the budget counts.
let slack: Int64 = 16 << 10

func seconds() -> Int {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return time.tv_sec
}

func contents(of path: String) -> [UInt8] {
    guard let file = fopen(path, "rb") else { return [] }
    defer { fclose(file) }
    var result: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while case let count = fread(&buffer, 1, buffer.count, file), count > 0 {
        result += buffer[..<count]
    }
    return result
}

func corpus(_ bytes: [UInt8]) -> [(kind: UInt8, bytes: [UInt8])] {
    var result: [(kind: UInt8, bytes: [UInt8])] = []
    var at = 0
    while at + 5 <= bytes.count {
        let length = (1...4).reversed().reduce(0) { $0 << 8 | Int(bytes[at + $1]) }
        result.append((bytes[at], Array(bytes[(at + 5)..<(at + 5 + length)])))
        at += 5 + length
    }
    return result
}

/// One decoding.
struct Case {
    var syntax: UInt8
    var budget: Int
    var bytes: [UInt8]

    /// Says what was found, and how to see it again.
    func found(_ what: String) {
        let name = "fuzz-finding-\(syntax)-\(budget)-\(bytes.count).bin"
        if let file = fopen(name, "wb") {
            fwrite(bytes, 1, bytes.count, file)
            fclose(file)
        }
        print("\(what): again with: \(CommandLine.arguments[0]) replay \(syntax) \(budget) \(name)")
    }
}

func check(_ input: Case, _ tally: inout Tally) {
    if input.syntax == 2 {
        check(ProtobufTestMessages_Proto2_TestAllTypesProto2.self, input, &tally)
    } else {
        check(ProtobufTestMessages_Proto3_TestAllTypesProto3.self, input, &tally)
    }
}

func check<M: Message>(_ type: M.Type, _ input: Case, _ tally: inout Tally) {
    tally.inputs += 1
    let before = chaski_heap_bytes()
    chaski_heap_reset_peak()
    do throws(DecodingError) {
        let message = try M(
            serializedBytes: input.bytes, options: .init(memoryBudget: input.budget))
        account(before, input, &tally)
        tally.accepted += 1
        serialise(message, input, &tally)
    } catch {
        account(before, input, &tally)
        tally.refused[error.code.rawValue, default: 0] += 1
        if error.field.isEmpty { tally.changed += 1 }
    }
}

func account(_ before: Int64, _ input: Case, _ tally: inout Tally) {
    let budget = input.budget
    let used = chaski_heap_peak() - before
    if used > tally.peak {
        tally.peak = used
        tally.peakBudget = budget
    }
    if used > slack { tally.largestShare = max(tally.largestShare, Double(used) / Double(budget)) }
    if used > Int64(budget) + slack {
        tally.overBudget += 1
        input.found("over budget, \(used) bytes")
    }
}

/// What was accepted is written, read again and written to the same bytes.
func serialise<M: Message>(_ message: M, _ input: Case, _ tally: inout Tally) {
    let options = EncodingOptions(deterministic: true)
    do {
        let first = try message.serializedBytes(options: options)
        let again = try M(serializedBytes: first)
        if try again.serializedBytes(options: options) != first {
            tally.changed += 1
            input.found("changed")
        }
        if tally.inputs % 16 == 0 {
            tally.changed += message.debugDescription.isEmpty ? 1 : 0
            _ = message.hashValue
            _ = message == again
        }
    } catch {
        tally.changed += 1
        input.found("refused afterwards, \(error)")
    }
}

func report(_ tally: Tally, seed: UInt64, duration: Int) -> Int32 {
    let refused = tally.refused.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
    print("seed \(seed), \(duration) s: \(tally.inputs) inputs, \(tally.accepted) accepted")
    print("refused:", refused.joined(separator: ", "))
    print(
        "most heap of one decoding: \(tally.peak) bytes, of a budget of \(tally.peakBudget);",
        "largest share of a budget: \((tally.largestShare * 100).rounded() / 100)")
    print("largest resident size, sanitizer included: \(chaski_heap_largest_resident()) KiB")
    let leaks = chaski_heap_leaks()
    print(
        "over budget: \(tally.overBudget), changed: \(tally.changed),",
        leaks == 0 ? "no leak, no crash" : "LEAKS")
    return tally.overBudget == 0 && tally.changed == 0 && leaks == 0 ? 0 : 1
}

func run() -> Int32 {
    let arguments = CommandLine.arguments
    if arguments.count == 5, arguments[1] == "replay", let syntax = UInt8(arguments[2]),
        let budget = Int(arguments[3]), chaski_heap_watch() != 0
    {
        let input = Case(syntax: syntax, budget: budget, bytes: contents(of: arguments[4]))
        // The second time without what is made once a process.
        var first = Tally()
        check(input, &first)
        var tally = Tally()
        check(input, &tally)
        return report(tally, seed: 0, duration: 0)
    }
    guard arguments.count == 4, let duration = Int(arguments[2]), let seed = UInt64(arguments[3])
    else {
        print("usage: fuzzer CORPUS SECONDS SEED, or fuzzer replay SYNTAX BUDGET FILE")
        return 2
    }
    guard chaski_heap_watch() != 0 else {
        print("built without the address sanitizer")
        return 2
    }
    var mutator = Mutator(
        corpus: corpus(contents(of: arguments[1])), numbers: Numbers(seed: seed))
    guard !mutator.corpus.isEmpty else { return 2 }
    var tally = Tally()
    let end = seconds() + duration
    while tally.inputs % 64 != 0 || seconds() < end {
        let (kind, bytes) = mutator.input()
        let budget = 1 << (12 + mutator.numbers.below(11))
        check(Case(syntax: kind, budget: budget, bytes: bytes), &tally)
    }
    return report(tally, seed: seed, duration: duration)
}

exit(run())
