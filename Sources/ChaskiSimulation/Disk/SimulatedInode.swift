/// The content of one simulated file, twice: what the kernel's page cache shows, and what the
/// device would show after a power cut.
struct SimulatedInode {
    static let sector = 512

    /// What reads see.
    private(set) var cached: [UInt8]
    /// What the device holds.
    private var durable: [UInt8]
    /// Sectors of `cached` that the kernel knows it has still to write.
    private var dirty: [Bool]
    /// Bounds of the dirty sectors, so that a sync need not look at all of them.
    private var dirtyRange: Range<Int> = 0..<0
    /// Sectors that cannot be read.
    private var unreadable: [Bool]
    /// Set once a sync has failed: the pages are clean and the data is nowhere.
    private(set) var hasLied = false

    init(size: Int) {
        cached = [UInt8](repeating: 0, count: size)
        durable = []
        dirty = [Bool](repeating: false, count: Self.sectors(size))
        unreadable = dirty
    }

    var size: Int { cached.count }
    var isDirty: Bool { !dirtyRange.isEmpty || durable.count != cached.count }

    private static func sectors(_ bytes: Int) -> Int { (bytes + sector - 1) / sector }

    func canRead(_ range: Range<Int>) -> Bool {
        let touched = (range.lowerBound / Self.sector)..<Self.sectors(range.upperBound)
        return !touched.clamped(to: 0..<unreadable.count).contains { unreadable[$0] }
    }

    mutating func write(_ bytes: ArraySlice<UInt8>, at position: Int) {
        precondition(position >= 0, "a position of the file")
        guard !bytes.isEmpty else { return }
        let end = position + bytes.count
        if end > cached.count {
            cached += [UInt8](repeating: 0, count: end - cached.count)
            let grown = Self.sectors(end) - dirty.count
            dirty += [Bool](repeating: false, count: grown)
            unreadable += [Bool](repeating: false, count: grown)
        }
        cached.replaceSubrange(position..<end, with: bytes)
        let touched = (position / Self.sector)..<Self.sectors(end)
        dirty.replaceSubrange(touched, with: [Bool](repeating: true, count: touched.count))
        dirtyRange =
            dirtyRange.isEmpty
            ? touched
            : min(
                dirtyRange.lowerBound, touched.lowerBound)..<max(
                    dirtyRange.upperBound, touched.upperBound)
    }

    mutating func shrink(to bytes: Int) {
        guard bytes < cached.count else { return }
        cached.removeLast(cached.count - bytes)
        let left = Self.sectors(bytes)
        dirty.removeLast(dirty.count - left)
        unreadable.removeLast(unreadable.count - left)
        dirtyRange = dirtyRange.clamped(to: 0..<left)
    }

    /// All that is dirty reaches the device.
    mutating func sync() {
        persist { _, sector in sector }
        markClean()
    }

    /// The device fails: some sectors reach it, the kernel marks all pages clean, and no later
    /// sync will say so (https://lwn.net/Articles/752063/).
    mutating func failSync(random: inout DiskRandom) {
        persist { _, sector in random.chance(1, in: 2) ? sector : nil }
        markClean()
        hasLied = true
    }

    /// The power is gone: each sector that was not synced is kept, lost, or garbled on its own,
    /// and so is the size.
    mutating func powerCut(random: inout DiskRandom) {
        let keepsSize = durable.count == cached.count || random.chance(1, in: 2)
        persist(resizing: keepsSize) { _, sector in
            switch random.below(8) {
            case 0...2: sector
            case 3...6: nil
            default: random.noise(sector.count)[...]
            }
        }
        cached = durable
        dirty = [Bool](repeating: false, count: Self.sectors(cached.count))
        unreadable = Array(unreadable.prefix(dirty.count))
        dirtyRange = 0..<0
        hasLied = false
    }

    private mutating func persist(
        resizing: Bool = true, _ choose: (Int, ArraySlice<UInt8>) -> ArraySlice<UInt8>?
    ) {
        if resizing, durable.count != cached.count {
            if durable.count > cached.count {
                durable.removeLast(durable.count - cached.count)
            } else {
                durable += [UInt8](repeating: 0, count: cached.count - durable.count)
            }
        }
        var index = dirtyRange.lowerBound - 1
        while index + 1 < dirtyRange.upperBound {
            index += 1
            guard dirty[index] else { continue }
            let start = index * Self.sector
            let end = min(start + Self.sector, cached.count)
            guard let bytes = choose(index, cached[start..<end]) else { continue }
            guard end <= durable.count else { continue }
            durable.replaceSubrange(start..<end, with: bytes)
        }
    }

    private mutating func markClean() {
        dirty.replaceSubrange(
            dirtyRange, with: [Bool](repeating: false, count: dirtyRange.count))
        dirtyRange = 0..<0
    }

    /// Flips one bit on the device and in the cache.
    mutating func flip(bit: Int, of position: Int) {
        precondition(bit >= 0 && bit < 8, "a byte has eight bits")
        if cached.indices.contains(position) { cached[position] ^= 1 << UInt8(bit) }
        if durable.indices.contains(position) { durable[position] ^= 1 << UInt8(bit) }
    }

    /// Overwrites bytes on the device and in the cache.
    mutating func overwrite(_ bytes: [UInt8], at position: Int) {
        for (index, byte) in bytes.enumerated() {
            if cached.indices.contains(position + index) { cached[position + index] = byte }
            if durable.indices.contains(position + index) { durable[position + index] = byte }
        }
    }

    mutating func makeUnreadable(_ range: Range<Int>) {
        let touched = (range.lowerBound / Self.sector)..<Self.sectors(range.upperBound)
        for index in touched.clamped(to: 0..<unreadable.count) { unreadable[index] = true }
    }
}
