// Decodes mutated inputs; see tools/fuzz.
//
//   fuzzer CORPUS SECONDS SEED
//
// CORPUS: records of a byte (2 or 3, the syntax), a length of 4 bytes and an input.
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

func hexadecimal(_ bytes: [UInt8]) -> String {
    bytes.prefix(400).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
}

func check<M: Message>(_ type: M.Type, _ bytes: [UInt8], budget: Int, _ tally: inout Tally) {
    tally.inputs += 1
    let before = chaski_heap_bytes()
    chaski_heap_reset_peak()
    do throws(DecodingError) {
        let message = try M(serializedBytes: bytes, options: .init(memoryBudget: budget))
        account(before, budget, bytes, &tally)
        tally.accepted += 1
        serialise(message, bytes, &tally)
    } catch {
        account(before, budget, bytes, &tally)
        tally.refused[error.code.rawValue, default: 0] += 1
        if error.field.isEmpty { tally.changed += 1 }
    }
}

func account(_ before: Int64, _ budget: Int, _ bytes: [UInt8], _ tally: inout Tally) {
    let used = chaski_heap_peak() - before
    if used > tally.peak {
        tally.peak = used
        tally.peakBudget = budget
    }
    if used > slack { tally.largestShare = max(tally.largestShare, Double(used) / Double(budget)) }
    if used > Int64(budget) + slack {
        tally.overBudget += 1
        print("OVER BUDGET: \(used) of \(budget), \(bytes.count) bytes in", hexadecimal(bytes))
    }
}

/// What was accepted is written, read again and written to the same bytes.
func serialise<M: Message>(_ message: M, _ input: [UInt8], _ tally: inout Tally) {
    let options = EncodingOptions(deterministic: true)
    do {
        let first = try message.serializedBytes(options: options)
        let again = try M(serializedBytes: first)
        if try again.serializedBytes(options: options) != first {
            tally.changed += 1
            print("CHANGED:", hexadecimal(input))
        }
        if tally.inputs % 16 == 0 {
            tally.changed += message.debugDescription.isEmpty ? 1 : 0
            _ = message.hashValue
            _ = message == again
        }
    } catch {
        tally.changed += 1
        print("REFUSED AFTERWARDS:", error, hexadecimal(input))
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
    guard arguments.count == 4, let duration = Int(arguments[2]), let seed = UInt64(arguments[3])
    else {
        print("usage: fuzzer CORPUS SECONDS SEED")
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
        if kind == 2 {
            check(
                ProtobufTestMessages_Proto2_TestAllTypesProto2.self, bytes, budget: budget, &tally)
        } else {
            check(
                ProtobufTestMessages_Proto3_TestAllTypesProto3.self, bytes, budget: budget, &tally)
        }
    }
    return report(tally, seed: seed, duration: duration)
}

exit(run())
