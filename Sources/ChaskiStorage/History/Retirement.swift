import ChaskiModel

/// Reads the state entries of journal files that are about to go, in slices.
struct Retirement {
    private let files: [RetiredFile]
    private let fileSystem: any FileSystem
    private var next = 0
    private var walk: Walk?

    private struct Walk {
        var reader: GroupReader
        var file: RetiredFile
        var position: UInt64
        var sequence: UInt64
        var chain: UInt32
    }

    private static let readAhead = 64 << 10

    init(_ files: [RetiredFile], _ fileSystem: any FileSystem) {
        self.files = files
        self.fileSystem = fileSystem
    }

    /// Moves about `maximumBytes` more; nil when nothing is left. What cannot be read is counted
    /// as lost and does not hold anything up.
    mutating func step(
        _ history: inout HistoryWriter, maximumBytes: Int, now: Now
    ) -> Int? {
        guard history.isEnabled else { return nil }
        var done = 0
        while done < maximumBytes {
            if walk == nil {
                guard next < files.count else { return done > 0 ? done : nil }
                let file = files[next]
                next += 1
                done += FileHeader.size
                do throws(FileError) {
                    walk = try begin(file)
                    if walk == nil {
                        history.lost("\(JournalName.journal(file.file)) has no sound header")
                    }
                } catch {
                    history.lost(error.message)
                }
                continue
            }
            guard var current = walk else { continue }
            walk = nil
            do throws(FileError) {
                if let bytes = try group(&current, &history, now) {
                    done += bytes
                    walk = current
                } else if current.position < current.file.end {
                    history.lost(
                        "\(JournalName.journal(current.file.file)):\(current.position) is not "
                            + "what was written")
                }
            } catch {
                history.lost(error.message)
            }
        }
        return done
    }

    private func begin(_ file: RetiredFile) throws(FileError) -> Walk? {
        let handle = try fileSystem.open(JournalName.journal(file.file))
        let start = try handle.read(at: 0, count: FileHeader.size)
        guard case .valid(let header) = FileHeader.read(start[...]) else { return nil }
        return Walk(
            reader: try GroupReader(handle, header: header, readAhead: Self.readAhead),
            file: file, position: UInt64(FileHeader.size), sequence: header.sequence,
            chain: header.chain)
    }

    /// Bytes looked at; nil at the end of the file.
    private func group(
        _ walk: inout Walk, _ history: inout HistoryWriter, _ now: Now
    ) throws(FileError) -> Int? {
        guard walk.position < walk.file.end, let group = try walk.reader.group(at: walk.position),
            group.header.chain == walk.chain, group.header.sequence == walk.sequence + 1
        else { return nil }
        walk.position = group.header.end.position
        walk.sequence = group.header.sequence
        walk.chain = group.header.checksum
        var bytes = group.header.bodiesStart
        var entries: [Bytes] = []
        for (row, position) in group.bodies where row.kind == .state {
            bytes += Int(row.length)
            guard let body = try walk.reader.body(of: row, at: position),
                CRC32C.checksum(body) == row.checksum
            else {
                history.lost("a damaged entry at \(group.header.place)")
                continue
            }
            entries.append(body)
        }
        if !entries.isEmpty {
            history.append(
                HistoryGroup(
                    sequence: walk.sequence, time: group.header.time, firstEntry: 0,
                    entries: entries), of: walk.file.file, now: now)
        }
        return bytes
    }
}
