/// Fixed little-endian integers at a position of a byte buffer: read / write in place, nil or false
/// past the end.
extension RawSpan {
    /// The little-endian integer at `position`; `nil` where fewer bytes are left, or `position`
    /// is negative.
    @inlinable
    package func littleEndian<T: FixedWidthInteger & BitwiseCopyable>(
        _ type: T.Type = T.self, at position: Int
    ) -> T? {
        guard position >= 0, position <= byteCount, byteCount - position >= MemoryLayout<T>.size
        else { return nil }
        return unsafe T(
            littleEndian: unsafeLoadUnaligned(fromUncheckedByteOffset: position, as: T.self))
    }
}

extension ArraySlice<UInt8> {
    /// The little-endian integer `position` bytes after the start; `nil` where fewer are left.
    @inlinable
    package func littleEndian<T: FixedWidthInteger & BitwiseCopyable>(
        _ type: T.Type = T.self, at position: Int
    ) -> T? {
        span.bytes.littleEndian(type, at: position)
    }
}

extension [UInt8] {
    /// Appends `value` in little-endian order.
    @inlinable
    package mutating func append<T: FixedWidthInteger & BitwiseCopyable>(littleEndian value: T) {
        Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
    }

    /// Overwrites the bytes at `position` with `value` in little-endian order.
    ///
    /// - Precondition: the array holds `position` plus the size of `T` bytes.
    @inlinable
    package mutating func set<T: FixedWidthInteger & BitwiseCopyable>(
        littleEndian value: T, at position: Int
    ) {
        precondition(position >= 0 && position + MemoryLayout<T>.size <= count, "out of bounds")
        withUnsafeMutableBytes {
            $0.storeBytes(of: value.littleEndian, toByteOffset: position, as: T.self)
        }
    }
}
