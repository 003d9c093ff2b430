import ChaskiRecords
import Synchronization

/// How batches are to be encoded for the broker at hand; read by callers, set by the event loop.
final class EncodingSettings: Sendable {
    struct Value: Sendable {
        var limits = RecordBatchLimits()
        var compression = BatchCompression.none
    }

    private let compression: ClientConfiguration.Compression
    private let value: Mutex<Value>

    init(compression: ClientConfiguration.Compression) {
        self.compression = compression
        value = Mutex(Value())
    }

    var current: Value { value.withLock { $0 } }

    /// A connection states its limits.
    func set(limits: RecordBatchLimits, isLoopback: Bool) -> Value {
        let deflates =
            switch compression {
            case .off: false
            case .always: true
            case .automatic: !isLoopback
            }
        let value = Value(limits: limits, compression: deflates ? .deflate() : .none)
        self.value.withLock { $0 = value }
        return value
    }
}
