private import CChaskiShims

/// Raw deflate (RFC 1951) by zlib, one input at a time; keeps zlib's memory for the next one.
/// Confined to whoever owns it.
package final class Deflater {
    private let stream: UnsafeMutablePointer<z_stream>
    private let ready: Bool

    /// `level` is zlib's, 1 (fast) to 9 (small).
    package init(level: Int32 = 1) {
        precondition((1...9).contains(level), "zlib knows levels 1 to 9")
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        ready = chaski_deflate_init_raw(stream, level) == Z_OK
    }

    deinit {
        if ready { deflateEnd(stream) }
        stream.deinitialize(count: 1)
        stream.deallocate()
    }

    /// Deflates `input` and writes it to `output`: the number of bytes written, or nil where
    /// it does not fit (or zlib has no memory). An input or output beyond 2 GiB is nil too.
    package func deflate(
        _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    )
        -> Int?
    {
        guard ready, let inputCount = UInt32(exactly: input.count),
            let outputCount = UInt32(exactly: output.count),
            deflateReset(stream) == Z_OK
        else { return nil }
        stream.pointee.next_in = UnsafeMutablePointer(
            mutating: input.baseAddress?.assumingMemoryBound(to: UInt8.self))
        stream.pointee.avail_in = inputCount
        stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
        stream.pointee.avail_out = outputCount
        guard CChaskiShims.deflate(stream, Z_FINISH) == Z_STREAM_END else { return nil }
        return output.count - Int(stream.pointee.avail_out)
    }

    /// Deflates `input` into an array of its own; nil where the result would have more than
    /// `maximumBytes`.
    package func deflate(_ input: Bytes, maximumBytes: Int) -> [UInt8]? {
        guard maximumBytes > 0 else { return nil }
        var written: Int?
        let result = [UInt8](unsafeUninitializedCapacity: maximumBytes) { buffer, count in
            written = input.withUnsafeBytes {
                deflate($0, into: UnsafeMutableRawBufferPointer(buffer))
            }
            count = written ?? 0
        }
        return written == nil ? nil : result
    }
}

/// The reverse of `Deflater`, for input that nobody vouches for: bounded by the caller's buffer.
/// Confined to whoever owns it.
package final class Inflater {
    private let stream: UnsafeMutablePointer<z_stream>
    private let ready: Bool

    package init() {
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        ready = chaski_inflate_init_raw(stream) == Z_OK
    }

    deinit {
        if ready { inflateEnd(stream) }
        stream.deinitialize(count: 1)
        stream.deallocate()
    }

    /// How an inflation ended.
    package enum Outcome: Hashable, Sendable {
        /// So many bytes came out, and all of the input was used.
        case inflated(Int)
        /// More comes out than the buffer holds.
        case tooLarge
        /// Not deflate, cut short, or followed by something else.
        case malformed
    }

    /// Inflates the whole of `input` into `output`; never writes past it.
    package func inflate(
        _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) -> Outcome {
        guard ready, let inputCount = UInt32(exactly: input.count),
            let outputCount = UInt32(exactly: output.count), outputCount > 0,
            inflateReset(stream) == Z_OK
        else { return .malformed }
        stream.pointee.next_in = UnsafeMutablePointer(
            mutating: input.baseAddress?.assumingMemoryBound(to: UInt8.self))
        stream.pointee.avail_in = inputCount
        stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
        stream.pointee.avail_out = outputCount
        let code = CChaskiShims.inflate(stream, Z_FINISH)
        let left = Int(stream.pointee.avail_out)
        if code == Z_STREAM_END {
            return stream.pointee.avail_in == 0 ? .inflated(output.count - left) : .malformed
        }
        return (code == Z_BUF_ERROR || code == Z_OK) && left == 0 ? .tooLarge : .malformed
    }

    /// Inflates `input`, whose result has at most `maximumBytes`, into an array of its own. The
    /// array begins at `expectedBytes` and grows only as bytes really come out, by at most
    /// `ratio` times the input past `freeBytes`.
    package func inflate(
        _ input: Bytes, maximumBytes: Int, ratio: Int = Limits.inflateRatio,
        freeBytes: Int = Limits.blockBytes
    ) -> (bytes: [UInt8], outcome: Outcome) {
        let (byRatio, overflow) = input.count.multipliedReportingOverflow(by: ratio)
        let bound = min(maximumBytes, max(freeBytes, overflow ? Int.max : byRatio))
        var capacity = max(1, min(bound, max(1024, 4 * min(input.count, bound))))
        while true {
            var outcome = Outcome.malformed
            let result = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
                outcome = input.withUnsafeBytes {
                    inflate($0, into: UnsafeMutableRawBufferPointer(buffer))
                }
                if case .inflated(let written) = outcome { count = written } else { count = 0 }
            }
            guard outcome == .tooLarge, capacity < bound else { return (result, outcome) }
            capacity = min(bound, capacity * 4)
        }
    }
}
