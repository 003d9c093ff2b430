private import CChaskiShims

/// CRC-32C (Castagnoli, RFC 3720 appendix B.4): the checksum of everything that Chaski sends and
/// stores.
package enum CRC32C {
    /// The checksum of `bytes`, continuing from `seed` (0 to begin).
    package static func checksum(_ bytes: RawSpan, seed: UInt32 = 0) -> UInt32 {
        bytes.withUnsafeBytes { chaski_crc32c(seed, $0.baseAddress, $0.count) }
    }

    /// The checksum of a run of bytes, continuing from `seed` (0 to begin).
    package static func checksum(_ bytes: Bytes, seed: UInt32 = 0) -> UInt32 {
        bytes.withUnsafeBytes { chaski_crc32c(seed, $0.baseAddress, $0.count) }
    }
}
