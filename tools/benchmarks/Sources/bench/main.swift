// Encodes and decodes the same messages with Chaski's bindings and with SwiftProtobuf's, in turns.
//
//   bench                 all six, as a table
//   bench loop CASE N     one case N times and nothing else, for profilers: d or e, 0 to 2, our or
//                         their: as `loop d0our 100000`
import CAllocations
import Glibc
import Ours
import Theirs

struct Case {
    var name: String
    var bytes: Int
    var ours: () throws -> Int
    var theirs: () throws -> Int
}

func cases() throws -> [Case] {
    let small = Ours.Bench_Small.with(fill)
    let event = Ours.Bench_Event.with(fill)
    let batch = Ours.Bench_Batch.with(fill)
    let smallBytes: [UInt8] = try small.serializedBytes()
    let eventBytes: [UInt8] = try event.serializedBytes()
    let batchBytes: [UInt8] = try batch.serializedBytes()
    let theirSmall = try Theirs.Bench_Small(serializedBytes: smallBytes)
    let theirEvent = try Theirs.Bench_Event(serializedBytes: eventBytes)
    let theirBatch = try Theirs.Bench_Batch(serializedBytes: batchBytes)
    return [
        Case(name: "small decode", bytes: smallBytes.count) {
            Int(try Ours.Bench_Small(serializedBytes: smallBytes).count)
        } theirs: {
            Int(try Theirs.Bench_Small(serializedBytes: smallBytes).count)
        },
        Case(name: "small encode", bytes: smallBytes.count) {
            try small.serializedBytes().count
        } theirs: {
            try theirEncode(theirSmall)
        },
        Case(name: "event decode", bytes: eventBytes.count) {
            try Ours.Bench_Event(serializedBytes: eventBytes).items.count
        } theirs: {
            try Theirs.Bench_Event(serializedBytes: eventBytes).items.count
        },
        Case(name: "event encode", bytes: eventBytes.count) {
            try event.serializedBytes().count
        } theirs: {
            try theirEncode(theirEvent)
        },
        Case(name: "batch decode", bytes: batchBytes.count) {
            try Ours.Bench_Batch(serializedBytes: batchBytes).items.count
        } theirs: {
            try Theirs.Bench_Batch(serializedBytes: batchBytes).items.count
        },
        Case(name: "batch encode", bytes: batchBytes.count) {
            try batch.serializedBytes().count
        } theirs: {
            try theirEncode(theirBatch)
        },
    ]
}

func now() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
}

/// What the results add up to, so that nothing is optimised away.
nonisolated(unsafe) var sink = 0

/// Nanoseconds of one call, measured over `count`.
@inline(never)
func time(_ count: Int, _ body: () throws -> Int) rethrows -> Double {
    let start = now()
    for _ in 0..<count { sink &+= try body() }
    return (now() - start) / Double(count)
}

/// Allocations of one call.
func allocations(_ body: () throws -> Int) rethrows -> Double {
    sink &+= try body()
    let before = chaski_bench_allocations()
    for _ in 0..<10 { sink &+= try body() }
    return Double(chaski_bench_allocations() - before) / 10
}

func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

func column(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.count)) + text
}

func fixed(_ value: Double, _ digits: Int) -> String {
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    let units = Int((value * scale).rounded())
    guard digits > 0 else { return String(units) }
    let fraction = String(units % Int(scale))
    return "\(units / Int(scale))." + String(repeating: "0", count: digits - fraction.count) + fraction
}

func table() throws {
    let rounds = 41
    let roundNanos = 4e6
    print(
        "case           bytes   ours ns  theirs ns  ratio   ours allocations  theirs")
    var product = 1.0
    var worst = Double.infinity
    let all = try cases()
    for item in all {
        let estimate = max(try time(20, item.ours), try time(20, item.theirs))
        let count = max(5, Int(roundNanos / estimate))
        var ours: [Double] = []
        var theirs: [Double] = []
        for round in 0..<rounds {
            // Alternating who goes first: what slows the machine down slows both.
            if round % 2 == 0 { ours.append(try time(count, item.ours)) }
            theirs.append(try time(count, item.theirs))
            if round % 2 == 1 { ours.append(try time(count, item.ours)) }
        }
        let ratio = median(zip(ours, theirs).map { $1 / $0 })
        product *= ratio
        worst = min(worst, ratio)
        print(
            item.name.padded(14) + column(String(item.bytes), 6)
                + column(fixed(median(ours), 0), 10) + column(fixed(median(theirs), 0), 11)
                + column(fixed(ratio, 2), 7)
                + column(fixed(try allocations(item.ours), 1), 19)
                + column(fixed(try allocations(item.theirs), 1), 8))
    }
    let mean = pow(product, 1 / Double(all.count))
    print("geometric mean " + fixed(mean, 2) + ", smallest " + fixed(worst, 2))
    print(
        "medians of \(rounds) rounds in turns; a ratio is SwiftProtobuf's time by ours, round by round")
}

extension String {
    func padded(_ width: Int) -> String {
        self + String(repeating: " ", count: max(0, width - count))
    }
}

let arguments = CommandLine.arguments
if arguments.count == 4, arguments[1] == "loop", let count = Int(arguments[3]) {
    let name = arguments[2]
    guard let letter = name.first, let digit = name.dropFirst().first?.wholeNumberValue,
        digit < 3, letter == "d" || letter == "e"
    else { exit(2) }
    let item = try cases()[digit * 2 + (letter == "e" ? 1 : 0)]
    let body = name.hasSuffix("our") ? item.ours : item.theirs
    print(fixed(try time(count, body), 0), "ns")
} else if arguments.count == 1 {
    try table()
} else {
    print("usage: bench | bench loop {d,e}{0,1,2}{our,their} N")
    exit(2)
}
