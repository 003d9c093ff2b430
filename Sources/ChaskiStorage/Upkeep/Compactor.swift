import ChaskiModel

/// Copies the batches that are alive in some files into one new segment per topic, in slices.
///
/// Each body is checked against the checksum that it was committed with, which goes with it. What
/// was written is synced slice by slice, so that no sync has much to do.
struct Compactor {
    private enum Problem: Error {
        case notWorth(UInt64)
        case noSpace
        case unreadable(String)
        case failed(FileError)
    }
    /// A batch that goes into the segment being written.
    private struct Pick {
        var source: Int
        var location: BatchLocation
    }
    private struct Writing {
        var header: SegmentHeader
        var partial: String
        var file: any File
        /// Header and table, until they are written.
        var head: [UInt8]
        var written = 0
        var picks: [Pick]
        var next = 0
    }

    private let plan: CompactionPlan
    private let fileSystem: any FileSystem
    private var handles: [any File] = []
    private var isPrepared = false
    /// What is alive of each part.
    private var picks: [[Pick]] = []
    private var writing: Writing?
    private var made: [NewSegment?] = []
    private var bytes: UInt64 = 0
    /// Partial files that exist.
    private var partials: [String] = []

    /// Bytes between two batches that are read along rather than skipped.
    private static let gap: UInt64 = 32 << 10
    private static let readAhead = 64 << 10

    init(_ plan: CompactionPlan, _ fileSystem: any FileSystem) {
        precondition(!plan.sources.isEmpty && !plan.parts.isEmpty, "there is something to do")
        self.plan = plan
        self.fileSystem = fileSystem
    }

    /// The result of a compaction that is over.
    enum Step {
        case working(bytes: Int)
        case over(CompactionOutcome, removals: [String])
    }

    /// Does about `maximumBytes` more. `lend` frees some of the space set aside, if it can.
    mutating func step(maximumBytes: Int, lend: () -> Bool) -> Step {
        var outcome = CompactionOutcome(plan: plan, end: .done)
        do throws(Problem) {
            if let count = try advance(max(maximumBytes, 1), lend) { return .working(bytes: count) }
            precondition(made.count == plan.parts.count, "every part is done")
            outcome.made = made
            outcome.bytes = bytes
            return .over(outcome, removals: [])
        } catch {
            outcome.end =
                switch error {
                case .notWorth(let bytes): .notWorth(bytes)
                case .noSpace: .noSpace
                case .unreadable(let what): .unreadable(what)
                case .failed(let error): .failed(error)
                }
            writing = nil
            return .over(outcome, removals: partials)
        }
    }

    /// Bytes of the slice; nil when nothing is left.
    private mutating func advance(
        _ maximumBytes: Int, _ lend: () -> Bool
    ) throws(Problem) -> Int? {
        if !isPrepared {
            isPrepared = true
            return try prepare()
        }
        while writing == nil {
            guard made.count < plan.parts.count else { return nil }
            try begin(plan.parts[made.count], picks[made.count], lend)
        }
        guard var current = writing else { return nil }
        let count: Int
        if current.written < current.head.count {
            count = min(maximumBytes, current.head.count - current.written)
            let slice = current.head[current.written..<(current.written + count)]
            try write(slice, to: current.file, at: current.written)
            current.written += count
        } else if current.next < current.picks.count {
            let content = try copy(&current, maximumBytes)
            count = content.count
            try write(content[...], to: current.file, at: current.written)
            current.written += count
            bytes += UInt64(count)
        } else {
            let last = current.header.encoded()
            try write(last[...], to: current.file, at: current.written)
            precondition(
                current.written + last.count == Int(current.header.fileBytes), "the file is full")
            made.append(NewSegment(header: current.header, partial: current.partial))
            writing = nil
            return last.count
        }
        writing = current
        return count
    }

    private func write(
        _ bytes: ArraySlice<UInt8>, to file: any File, at position: Int
    ) throws(Problem) {
        do throws(FileError) {
            try file.write(bytes.span.bytes, at: position)
            try file.sync()
        } catch {
            throw error.code == .noSpace ? .noSpace : .failed(error)
        }
    }

    // MARK: What is alive

    /// Reads the indexes of the sources and chooses.
    private mutating func prepare() throws(Problem) -> Int {
        var indexes: [FileIndex] = []
        for source in plan.sources {
            let found: FileIndex?
            do throws(FileError) {
                let handle = try fileSystem.open(source.file.name)
                handles.append(handle)
                found = try index(of: source, handle)
            } catch {
                throw .unreadable(error.message)
            }
            guard let found else { throw .unreadable("\(source.file.name) has no sound index") }
            indexes.append(found)
        }
        var alive: UInt64 = 0
        for part in plan.parts {
            let chosen = Self.choose(part, indexes)
            if !chosen.isEmpty { alive &+= UInt64(2 * SegmentHeader.size) }
            for pick in chosen {
                alive &+= UInt64(pick.location.length) + UInt64(SegmentHeader.row)
            }
            picks.append(chosen)
        }
        guard alive <= plan.maximumBytes else { throw .notWorth(alive) }
        return indexes.reduce(0) { $0 + $1.cost }
    }

    private func index(
        of source: CompactionPlan.Source, _ handle: any File
    ) throws(FileError) -> FileIndex? {
        switch source.file {
        case .journal(let id):
            return try FileIndex.closed(
                id, end: source.end, salt: plan.salt, handle, fileSystem,
                readAhead: Self.readAhead)
        case .segment(let id):
            return try SegmentTable.read(id, handle)?.index
        }
    }

    private static func choose(_ part: CompactionPlan.Part, _ indexes: [FileIndex]) -> [Pick] {
        var chosen: [Pick] = []
        for run in part.runs {
            let index = indexes[run.source]
            guard let found = index.run(of: part.topic) else { continue }
            for row in index.locations[found.start..<(found.start + found.count)]
            where row.baseOffset >= run.offsets.lowerBound
                && row.endOffset <= run.offsets.upperBound
                && !part.released.contains(row.baseOffset..<row.endOffset)
            {
                chosen.append(Pick(source: run.source, location: row))
            }
        }
        return chosen
    }

    // MARK: One segment

    private mutating func begin(
        _ part: CompactionPlan.Part, _ picks: [Pick], _ lend: () -> Bool
    ) throws(Problem) {
        guard let first = picks.first, let last = picks.last else {
            made.append(nil)
            return
        }
        let count = UInt32(picks.count)
        var rows: [BatchLocation] = []
        rows.reserveCapacity(picks.count)
        var position = UInt64(SegmentHeader.size + SegmentHeader.row * picks.count)
        let start = position
        for pick in picks {
            var row = pick.location
            row.position = position
            position += UInt64(row.length)
            rows.append(row)
        }
        let seed = SegmentTable.seed(part.id, identity: plan.identity)
        let table = SegmentTable.encode(rows, seed: seed)
        let header = SegmentHeader(
            id: part.id, identity: plan.identity, firstSource: part.firstSource,
            first: first.location.baseOffset, end: last.location.endOffset,
            bytes: position - start, count: count, chain: table.chain)
        let partial = JournalName.partialFile(part.serial)
        let file = try create(partial, Int(header.fileBytes), lend)
        writing = Writing(
            header: header, partial: partial, file: file, head: header.encoded() + table.bytes,
            picks: picks)
    }

    private mutating func create(
        _ name: String, _ bytes: Int, _ lend: () -> Bool
    ) throws(Problem) -> any File {
        var mayLend = plan.mayUseReserve
        while true {
            do throws(FileError) {
                let file = try fileSystem.create(name, allocating: bytes)
                partials.append(name)
                return file
            } catch {
                guard error.code == .noSpace else { throw .failed(error) }
                guard mayLend, lend() else { throw .noSpace }
                mayLend = false
            }
        }
    }

    /// The bodies of the next batches, neighbours read at once.
    private func copy(_ writing: inout Writing, _ maximumBytes: Int) throws(Problem) -> [UInt8] {
        var content: [UInt8] = []
        while writing.next < writing.picks.count {
            let first = writing.picks[writing.next]
            guard content.isEmpty || content.count + Int(first.location.length) <= maximumBytes
            else { break }
            let left = max(maximumBytes - content.count, Int(first.location.length))
            let end = Self.piece(writing.picks[writing.next...], maximumBytes: left)
            try read(writing.picks[writing.next..<end], onto: &content)
            writing.next = end
        }
        return content
    }

    /// The end of what one read covers.
    private static func piece(_ picks: ArraySlice<Pick>, maximumBytes: Int) -> Int {
        let first = picks[picks.startIndex]
        var end = picks.startIndex + 1
        var position = first.location.position + UInt64(first.location.length)
        while end < picks.endIndex, picks[end].source == first.source {
            let row = picks[end].location
            let stop = row.position &+ UInt64(row.length)
            guard row.position >= position, row.position - position <= gap,
                stop - first.location.position <= UInt64(maximumBytes)
            else { break }
            position = stop
            end += 1
        }
        return end
    }

    private func read(
        _ picks: ArraySlice<Pick>, onto content: inout [UInt8]
    ) throws(Problem) {
        guard let first = picks.first, let last = picks.last else { return }
        let start = first.location.position
        let name = plan.sources[first.source].file.name
        let bytes: [UInt8]
        do throws(FileError) {
            bytes = try handles[first.source].read(
                at: Int(start),
                count: Int(last.location.position + UInt64(last.location.length) - start))
        } catch {
            throw .unreadable(error.message)
        }
        for pick in picks {
            let from = Int(pick.location.position - start)
            let to = from + Int(pick.location.length)
            guard to <= bytes.count,
                CRC32C.checksum(bytes[from..<to]) == pick.location.checksum
            else {
                throw .unreadable(
                    "offset \(pick.location.baseOffset) of topic id "
                        + "\(pick.location.topic.rawValue) is damaged at \(name):"
                        + "\(pick.location.position)")
            }
            content += bytes[from..<to]
        }
    }
}
