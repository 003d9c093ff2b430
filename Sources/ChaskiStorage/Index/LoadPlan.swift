import ChaskiModel

/// A read that needs the disk. A value: made on the shard's loop, executed on any thread.
package struct LoadPlan: Sendable {
    var topic: TopicID
    var from: Offset
    var maximumBytes: Int
    var file: BatchFile
    /// Where a journal file's groups end.
    var fileEnd: UInt64
    var salt: UInt32
    /// The batches to read, in order; nil when the file's index must be read first.
    var locations: [BatchLocation]?
}

/// What executing a plan brought.
package struct LoadResult: Sendable {
    enum Body: Sendable {
        /// At least one.
        case batches([StoredBatch])
        case damaged(Failure)
    }
    var plan: LoadPlan
    var body: Body
    /// The file's index, when it had to be read.
    var index: FileIndex?
}

extension LoadPlan {
    /// Bytes between two batches that are read along rather than skipped.
    private static let gap: UInt64 = 32 << 10
    private static let readAhead = 64 << 10

    /// Reads what the plan names. Blocking; any thread.
    package func execute(_ fileSystem: any FileSystem) -> LoadResult {
        var result = LoadResult(plan: self, body: .batches([]), index: nil)
        do throws(FileError) {
            let handle = try fileSystem.open(file.name)
            var rows = locations
            if rows == nil {
                result.index = try readIndex(handle, fileSystem)
                rows = result.index?.select(topic, from: from, maximumBytes: maximumBytes)
            }
            result.body = try read(rows ?? [], from: handle)
        } catch {
            result.body = .damaged(Failure.storage(error, in: fileSystem.label))
        }
        return result
    }

    private func readIndex(
        _ handle: any File, _ fileSystem: any FileSystem
    ) throws(FileError) -> FileIndex? {
        switch file {
        case .journal(let id):
            return try FileIndex.closed(
                id, end: fileEnd, salt: salt, handle, fileSystem, readAhead: Self.readAhead)
        case .segment(let id):
            return try SegmentTable.read(id, handle)?.index
        }
    }

    /// Reads the batches, neighbours at once. Damage behind the first is left for the next read.
    private func read(
        _ rows: [BatchLocation], from handle: any File
    ) throws(FileError) -> LoadResult.Body {
        var batches: [StoredBatch] = []
        var next = 0
        while next < rows.count {
            let piece = Self.piece(rows[next...], maximumBytes: max(maximumBytes, 1 << 20))
            let start = piece[piece.startIndex].position
            let end = piece[piece.endIndex - 1].position + UInt64(piece[piece.endIndex - 1].length)
            let bytes = try handle.read(at: Int(start), count: Int(end - start))
            for row in piece {
                let from = Int(row.position - start)
                let to = from + Int(row.length)
                guard to <= bytes.count, CRC32C.checksum(bytes[from..<to]) == row.checksum else {
                    if !batches.isEmpty { return .batches(batches) }
                    return .damaged(Failure.damagedBatch(row, file: file, "damaged bytes"))
                }
                batches.append(
                    StoredBatch(
                        topic: topic, baseOffset: row.baseOffset, count: row.count,
                        bytes: bytes[from..<to]))
            }
            next = piece.endIndex
        }
        if let first = batches.first, first.topic == topic { return .batches(batches) }
        return .damaged(
            Failure(
                .dataLoss, .damaged,
                "Offset \(from) of topic id \(topic.rawValue) is not where the index of "
                    + "\(file.name) says. See the journal with: "
                    + "chaski journal verify"))
    }

    /// The rows at the front that one read covers.
    private static func piece(
        _ rows: ArraySlice<BatchLocation>, maximumBytes: Int
    ) -> ArraySlice<BatchLocation> {
        precondition(!rows.isEmpty, "there is something to read")
        let first = rows[rows.startIndex]
        var end = rows.startIndex + 1
        var position = first.position + UInt64(first.length)
        while end < rows.endIndex {
            let row = rows[end]
            guard row.position >= position, row.position - position <= gap,
                row.position + UInt64(row.length) - first.position <= UInt64(maximumBytes)
            else { break }
            position = row.position + UInt64(row.length)
            end += 1
        }
        return rows[rows.startIndex..<end]
    }
}
