package import ChaskiMessages
package import ChaskiModel

extension Chaski_V1_TopicSettings {
    /// As they are said on the wire.
    package init(_ settings: TopicSettings) {
        self.init()
        if let bytes = settings.maximumBytes { maximumBytes = bytes }
        if let window = settings.dedupWindowNanos { dedupWindowNanos = UInt64(clamping: window) }
    }
}

extension TopicSettings {
    /// As a message says them, with the defaults for what it leaves out.
    package init(_ message: Chaski_V1_TopicSettings) {
        self.init(maximumBytes: message.hasMaximumBytes ? message.maximumBytes : nil)
        // The core checks it: what cannot be is handed on as the nearest value that it refuses.
        if message.hasDedupWindowNanos {
            dedupWindowNanos = Int64(clamping: message.dedupWindowNanos)
        }
    }
}
