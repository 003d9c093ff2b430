import ChaskiModel
import ChaskiStorage
import ChaskiWire
import Metrics

/// The counters of a broker process, for whatever backend swift-metrics was given. Counted once
/// for each batch, group or connection, never for each message.
final class BrokerMetrics: Sendable {
    private let connectionsOpened = Counter(label: "chaski_connections_opened_total")
    private let connectionsClosed = Counter(label: "chaski_connections_closed_total")
    private let bytesReceived = Counter(label: "chaski_bytes_received_total")
    private let bytesSent = Counter(label: "chaski_bytes_sent_total")
    private let batchesReceived = Counter(label: "chaski_batches_received_total")
    private let messagesReceived = Counter(label: "chaski_messages_received_total")
    private let messagesDelivered = Counter(label: "chaski_messages_delivered_total")
    private let groupsSynced = Counter(label: "chaski_journal_groups_synced_total")
    private let messagesSynced = Counter(label: "chaski_journal_messages_synced_total")
    private let bytesSynced = Counter(label: "chaski_journal_bytes_synced_total")

    private let filesCompacted = Counter(label: "chaski_files_compacted_total")
    private let bytesCompacted = Counter(label: "chaski_compaction_bytes_total")
    private let compactionsGivenUp = Counter(label: "chaski_compactions_given_up_total")
    private let historyEntries = Counter(label: "chaski_history_entries_total")
    private let historyBytes = Counter(label: "chaski_history_bytes_total")
    private let historyFailures = Counter(label: "chaski_history_failures_total")

    func connectionOpened() { connectionsOpened.increment() }

    func connectionClosed(_ counters: WireCounters) {
        connectionsClosed.increment()
        bytesReceived.increment(by: Int64(clamping: counters.bytesReceived))
        bytesSent.increment(by: Int64(clamping: counters.bytesSent))
        for limit in WireLimit.allCases {
            let exceeded = counters.exceeded(limit)
            guard exceeded > 0 else { continue }
            Counter(
                label: "chaski_limits_exceeded_total",
                dimensions: [("limit", limit.reason.rawValue)]
            ).increment(by: Int64(clamping: exceeded))
        }
    }

    /// `reason` is one of our own few words, never a peer's.
    func connectionFailed(_ reason: FailureReason) {
        Counter(
            label: "chaski_connections_failed_total", dimensions: [("reason", reason.rawValue)]
        ).increment()
    }

    func batchReceived(messages: Int) {
        batchesReceived.increment()
        messagesReceived.increment(by: messages)
    }

    func delivered(messages: Int) { messagesDelivered.increment(by: messages) }

    func groupSynced(messages: UInt64, bytes: Int) {
        groupsSynced.increment()
        messagesSynced.increment(by: Int64(clamping: messages))
        bytesSynced.increment(by: bytes)
    }

    /// So many subscriptions of a namespace have messages that failed for good and cannot be dead
    /// letters yet.
    func deathsHeld(of subscriptions: Int, namespace: String) {
        Gauge(
            label: "chaski_subscriptions_with_held_dead_letters",
            dimensions: [("namespace", namespace)]
        ).record(subscriptions)
    }

    func upkeepDone(_ figures: UpkeepFigures) {
        filesCompacted.increment(by: Int64(clamping: figures.compactions))
        bytesCompacted.increment(by: Int64(clamping: figures.bytesCopied))
        compactionsGivenUp.increment(by: Int64(clamping: figures.compactionsGivenUp))
        historyEntries.increment(by: Int64(clamping: figures.historyEntries))
        historyBytes.increment(by: Int64(clamping: figures.historyBytes))
        historyFailures.increment(by: Int64(clamping: figures.historyFailures))
    }
}
