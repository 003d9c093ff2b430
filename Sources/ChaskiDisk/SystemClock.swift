private import CChaskiShims
package import ChaskiModel
package import ChaskiStorage

/// The clocks of this machine.
package struct SystemClock: Sendable {
    /// Identifies this boot; 0 where the kernel does not tell.
    package let bootID: UInt128
    /// What `RecoveryReport.clockOffset` said to add to the boot clock.
    package var offset: Int64

    package init(offset: Int64 = 0) {
        bootID = Self.readBootID()
        self.offset = offset
    }

    /// For `Journal.open`.
    package func reading() -> ClockReading {
        ClockReading(
            wallNanos: chaski_clock_wall_nanos(), bootNanos: chaski_clock_boot_nanos(),
            bootID: bootID)
    }

    /// The broker's moment: boot clock plus `offset`.
    package func now() -> Now {
        let (clock, overflow) = chaski_clock_boot_nanos().addingReportingOverflow(offset)
        return Now(clock: overflow ? Int64.max : clock, wall: chaski_clock_wall_nanos())
    }

    /// Nanoseconds since boot, suspend included.
    package func bootNanos() -> Int64 { chaski_clock_boot_nanos() }

    private static func readBootID() -> UInt128 {
        guard let digits = try? KernelFile.read("/proc/sys/kernel/random/boot_id") else {
            return 0
        }
        var value: UInt128 = 0
        for byte in digits {
            guard let digit = Character(UnicodeScalar(byte)).hexDigitValue else { continue }
            value = value << 4 | UInt128(UInt8(truncatingIfNeeded: digit))
        }
        return value
    }
}

/// Small files of the kernel, whose size is not known ahead.
enum KernelFile {
    static func read(_ path: String) throws(FileError) -> [UInt8] {
        try Descriptor(path, flags: 0).read(at: 0, count: 64)
    }
}
