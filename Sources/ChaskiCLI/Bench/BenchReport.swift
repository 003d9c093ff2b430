/// The result of a benchmark, for people and as JSON.
package struct BenchReport: Sendable {
    /// What the broker counted before and after (Broker/Status).
    package struct Storage: Sendable, Hashable {
        package var syncs: UInt64
        package var bytesWritten: UInt64
        package var messagesAppended: UInt64
        package var allocations: UInt64

        package init(
            syncs: UInt64, bytesWritten: UInt64, messagesAppended: UInt64, allocations: UInt64
        ) {
            self.syncs = syncs
            self.bytesWritten = bytesWritten
            self.messagesAppended = messagesAppended
            self.allocations = allocations
        }

        /// What happened between `earlier` and this.
        package func since(_ earlier: Storage) -> Storage {
            func less(_ a: UInt64, _ b: UInt64) -> UInt64 { a >= b ? a - b : 0 }
            return Storage(
                syncs: less(syncs, earlier.syncs),
                bytesWritten: less(bytesWritten, earlier.bytesWritten),
                messagesAppended: less(messagesAppended, earlier.messagesAppended),
                allocations: less(allocations, earlier.allocations))
        }
    }

    package var name: String
    package var settings: JSONObject
    package var messages: UInt64
    package var payloadBytes: UInt64
    package var errors: UInt64 = 0
    package var seconds: Double
    package var latencyOf: String
    package var latency: LatencySummary
    package var moreLatencies: [(name: String, LatencySummary)] = []
    package var batches: SizeDistribution.Summary?
    package var storage: Storage?
    package var notes: [String] = []

    package init(
        name: String, settings: JSONObject, messages: UInt64, payloadBytes: UInt64,
        seconds: Double, latencyOf: String, latency: LatencySummary
    ) {
        self.name = name
        self.settings = settings
        self.messages = messages
        self.payloadBytes = payloadBytes
        self.seconds = seconds
        self.latencyOf = latencyOf
        self.latency = latency
    }

    package var messagesPerSecond: Double { seconds > 0 ? Double(messages) / seconds : 0 }

    package var lines: [String] {
        var fields = FieldList()
        let megabytes = Double(messages) * Double(payloadBytes) / max(seconds, 1e-9) / 1_048_576
        fields.append(
            "messages", "\(Units.grouped(messages)) in \(Units.fixed(seconds, 2)) s")
        fields.append(
            "throughput",
            "\(Units.grouped(messagesPerSecond))/s  \(Units.fixed(megabytes, 1)) MiB/s of payload")
        if errors > 0 { fields.append("errors", Units.grouped(errors)) }
        if latency.count > 0 { fields.append(latencyOf, latency.text) }
        for (name, summary) in moreLatencies { fields.append(name, summary.text) }
        if let batches, batches.batches > 0 { fields.append("batch sizes", batches.text) }
        if let storage {
            let perSync =
                storage.syncs > 0
                ? Double(storage.messagesAppended) / Double(storage.syncs) : 0
            fields.append(
                "disk",
                "\(Units.grouped(Double(storage.syncs) / max(seconds, 1e-9))) syncs/s, "
                    + "\(Units.fixed(perSync, 1)) messages and "
                    + "\(Units.bytes(storage.bytesWritten / max(1, storage.syncs))) a sync, "
                    + "\(Units.bytes(storage.bytesWritten)) written")
            if storage.allocations > 0, messages > 0 {
                let each = Double(storage.allocations) / Double(messages)
                fields.append("allocations", "\(Units.fixed(each, 3)) a message in the broker")
            }
        }
        return ["bench \(name)"] + (fields.lines + notes).map { "  " + $0 }
    }

    package var json: JSONValue {
        var object: JSONObject = [
            "bench": .string(name), "settings": .object(settings), "messages": .unsigned(messages),
            "errors": .unsigned(errors), "seconds": .number(seconds),
            "messagesPerSecond": .number(messagesPerSecond),
            "payloadBytes": .unsigned(payloadBytes),
            "latencyOf": .string(latencyOf), "latency": latency.json,
        ]
        for (name, summary) in moreLatencies { object.append(name, summary.json) }
        if let batches { object.append("batchSizes", batches.json) }
        if let storage {
            object.append(
                "storage",
                .object([
                    "syncs": .unsigned(storage.syncs),
                    "syncsPerSecond": .number(Double(storage.syncs) / max(seconds, 1e-9)),
                    "bytesWritten": .unsigned(storage.bytesWritten),
                    "messagesAppended": .unsigned(storage.messagesAppended),
                    "allocations": .unsigned(storage.allocations),
                ]))
        }
        return .object(object)
    }
}
