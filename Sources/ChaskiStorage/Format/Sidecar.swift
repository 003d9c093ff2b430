import ChaskiModel

/// The index of a closed file, in a file beside it. It holds nothing that reading the file could
/// not tell, and is neither synced nor trusted beyond its checksums.
enum Sidecar {
    /// "CHASKIX1", read as a little-endian integer.
    private static let magic: UInt64 = 0x3158_494b_5341_4843
    static let headerSize = 64
    static let topicRow = 40
    static let row = 32

    /// Topics and batches that a sidecar may hold; a file with more is read instead.
    private static let limit: UInt32 = 1 << 24

    static func write(
        _ index: FileIndex, salt: UInt32, in fileSystem: any FileSystem
    ) throws(FileError) {
        let name = JournalName.sidecar(index.file)
        do throws(FileError) {
            try fileSystem.remove(name)
        } catch {
            if error.code != .notFound { throw error }
        }
        let file = try fileSystem.create(name, allocating: 0)
        try file.write(encode(index, salt: salt).span.bytes, at: 0)
    }

    static func encode(_ index: FileIndex, salt: UInt32) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: headerSize)
        bytes.reserveCapacity(
            headerSize + topicRow * index.topics.count + row * index.locations.count)
        for topic in index.topics {
            bytes.append(littleEndian: topic.topic.rawValue)
            bytes.append(littleEndian: topic.first)
            bytes.append(littleEndian: topic.end)
            bytes.append(littleEndian: UInt32(topic.start))
            bytes.append(littleEndian: UInt32(topic.count))
            bytes.append(littleEndian: topic.bytes)
        }
        let tableEnd = bytes.count
        for location in index.locations {
            bytes.append(littleEndian: location.baseOffset)
            bytes.append(littleEndian: location.position)
            bytes.append(littleEndian: location.count)
            bytes.append(littleEndian: location.length)
            bytes.append(littleEndian: location.checksum)
            bytes.append(littleEndian: UInt32(0))
        }
        bytes.set(littleEndian: magic, at: 0)
        bytes.set(littleEndian: Layout.version, at: 12)
        bytes.set(littleEndian: Layout.version, at: 14)
        bytes.set(littleEndian: index.file, at: 16)
        bytes.set(littleEndian: index.end, at: 24)
        bytes.set(littleEndian: UInt32(index.topics.count), at: 32)
        bytes.set(littleEndian: UInt32(index.locations.count), at: 36)
        bytes.set(littleEndian: CRC32C.checksum(bytes[tableEnd...], seed: salt), at: 40)
        bytes.set(littleEndian: CRC32C.checksum(bytes[12..<tableEnd], seed: salt), at: 8)
        return bytes
    }

    /// The sidecar of `file`, without `locations` unless asked for; nil where there is none that
    /// can be believed.
    static func read(
        _ file: UInt64, salt: UInt32, withLocations: Bool, from fileSystem: any FileSystem
    ) -> FileIndex? {
        guard let handle = try? fileSystem.open(JournalName.sidecar(file)),
            let start = try? handle.read(at: 0, count: Layout.block),
            let counts = counts(start[...], file: file)
        else { return nil }
        let tableEnd = headerSize + topicRow * Int(counts.topics)
        let whole = tableEnd + row * Int(counts.locations)
        let wanted = withLocations ? whole : tableEnd
        var bytes = start
        if wanted > start.count {
            guard let size = try? handle.size(), size >= wanted,
                let all = try? handle.read(at: 0, count: wanted)
            else { return nil }
            bytes = all
        }
        guard bytes.count >= wanted,
            let end = bytes[...].littleEndian(UInt64.self, at: 24),
            CRC32C.checksum(bytes[12..<tableEnd], seed: salt)
                == bytes[...].littleEndian(UInt32.self, at: 8)
        else { return nil }
        guard let topics = topics(bytes[..<tableEnd], counts: counts) else { return nil }
        var index = FileIndex(file: file, end: end, topics: topics, locations: [])
        guard withLocations else { return index }
        guard
            CRC32C.checksum(bytes[tableEnd..<whole], seed: salt)
                == bytes[...].littleEndian(UInt32.self, at: 40)
        else { return nil }
        index.locations = locations(bytes[tableEnd..<whole], topics)
        return index.locations.count == Int(counts.locations) ? index : nil
    }

    private static func counts(
        _ bytes: Bytes, file: UInt64
    ) -> (topics: UInt32, locations: UInt32)? {
        guard bytes.littleEndian(UInt64.self, at: 0) == magic,
            let oldestReader = bytes.littleEndian(UInt16.self, at: 14),
            oldestReader <= Layout.version,
            bytes.littleEndian(UInt64.self, at: 16) == file,
            let topics = bytes.littleEndian(UInt32.self, at: 32), topics <= limit,
            let locations = bytes.littleEndian(UInt32.self, at: 36), locations <= limit
        else { return nil }
        return (topics, locations)
    }

    private static func topics(
        _ bytes: Bytes, counts: (topics: UInt32, locations: UInt32)
    ) -> [TopicRun]? {
        var topics: [TopicRun] = []
        topics.reserveCapacity(Int(counts.topics))
        var next: UInt64 = 0
        for index in 0..<Int(counts.topics) {
            let at = headerSize + index * topicRow
            guard let topic = bytes.littleEndian(UInt64.self, at: at),
                let first = bytes.littleEndian(UInt64.self, at: at + 8),
                let end = bytes.littleEndian(UInt64.self, at: at + 16),
                let start = bytes.littleEndian(UInt32.self, at: at + 24),
                let count = bytes.littleEndian(UInt32.self, at: at + 28),
                let stored = bytes.littleEndian(UInt64.self, at: at + 32),
                UInt64(start) == next, first <= end
            else { return nil }
            next += UInt64(count)
            topics.append(
                TopicRun(
                    topic: TopicID(rawValue: topic), first: first, end: end, bytes: stored,
                    start: Int(start), count: Int(count)))
        }
        return next == UInt64(counts.locations) ? topics : nil
    }

    private static func locations(_ bytes: Bytes, _ topics: [TopicRun]) -> [BatchLocation] {
        var locations: [BatchLocation] = []
        locations.reserveCapacity(bytes.count / row)
        for topic in topics {
            var least: Offset = 0
            for index in topic.start..<(topic.start + topic.count) {
                let at = index * row
                guard let baseOffset = bytes.littleEndian(UInt64.self, at: at),
                    let position = bytes.littleEndian(UInt64.self, at: at + 8),
                    let count = bytes.littleEndian(UInt32.self, at: at + 16),
                    let length = bytes.littleEndian(UInt32.self, at: at + 20),
                    let checksum = bytes.littleEndian(UInt32.self, at: at + 24),
                    position < 1 << 32, count > 0, baseOffset >= least,
                    baseOffset < Layout.countBound
                else { return [] }
                least = baseOffset + Offset(count)
                locations.append(
                    BatchLocation(
                        topic: topic.topic, baseOffset: baseOffset, count: count, length: length,
                        position: position, checksum: checksum))
            }
        }
        return locations
    }
}
