import ChaskiModel

/// Segments and history files.
extension JournalInspector {
    mutating func segment(_ id: SegmentID, identity: UInt128?) throws(FileError) {
        let name = JournalName.segmentFile(id)
        let handle: any File
        do throws(FileError) {
            handle = try fileSystem.open(name)
        } catch {
            // Beside a running broker it may have been replaced meanwhile.
            guard error.code == .notFound else { throw error }
            return
        }
        summary.segments += 1
        func place(_ position: UInt64) -> FilePlace { FilePlace(name: name, position: position) }
        let (reading, size) = try SegmentTable.reading(of: handle)
        switch reading {
        case .newer(let version, let oldestReader):
            summary.newerFiles += 1
            report(
                .journal, place(0),
                "written in format \(version), which needs a reader of format \(oldestReader)")
            return
        case .valid(let header) where header.id == id:
            visit(.segment(header))
            if let identity, identity != header.identity {
                report(.journal, place(0), "belongs to another journal")
            }
            if size < Int(header.fileBytes) {
                report(
                    .topic(id.topic), place(UInt64(size)),
                    "the file has been cut off here: it was made with \(header.fileBytes) bytes")
            }
            try batches(of: header, handle, name)
        case .valid, .damaged:
            report(.topic(id.topic), place(0), "neither copy of the header is what was written")
        }
    }

    private mutating func batches(
        of header: SegmentHeader, _ handle: any File, _ name: String
    ) throws(FileError) {
        checkCopies(of: header, handle, name)
        var table: [BatchLocation]?
        do throws(FileError) {
            table = try SegmentTable.read(header.id, handle)?.index.locations
        } catch {
            guard error.code == .io else { throw error }
        }
        guard let table else {
            report(
                .topic(header.id.topic), FilePlace(name: name, position: 128),
                "the table of batches is not what was written")
            return
        }
        for row in table {
            var body: [UInt8] = []
            do throws(FileError) {
                body = try handle.read(at: Int(row.position), count: Int(row.length))
            } catch {
                guard error.code == .io else { throw error }
            }
            let isSound =
                body.count == Int(row.length) && CRC32C.checksum(body[...]) == row.checksum
            summary.batches += 1
            summary.offsets &+= UInt64(row.count)
            visit(
                .entry(
                    JournalEntry(
                        kind: .batch, topic: row.topic, baseOffset: row.baseOffset,
                        count: row.count, body: body[...]),
                    position: row.position, isSound: isSound))
            if !isSound {
                report(
                    .topic(row.topic), FilePlace(name: name, position: row.position),
                    "the batch is not what was written")
            }
        }
    }

    /// One copy of the header is enough to open a segment, but both should be sound.
    private mutating func checkCopies(
        of header: SegmentHeader, _ handle: any File, _ name: String
    ) {
        for position in [0, Int(header.fileBytes) - SegmentHeader.size] {
            let bytes = (try? handle.read(at: position, count: SegmentHeader.size)) ?? []
            if case .valid(let copy) = SegmentHeader.read(bytes[...]), copy == header { continue }
            report(
                .topic(header.id.topic), FilePlace(name: name, position: UInt64(position)),
                "this copy of the header is not what was written; the other is")
        }
    }

    mutating func history() throws(FileError) {
        // What is found is counted after the walk: the reader's closure must not change `self`.
        var damage: [(FilePlace, String)] = []
        var files = 0
        var entries: UInt64 = 0
        let visit = visit
        do throws(FileError) {
            try HistoryReader(fileSystem).inspect { item in
                switch item {
                case .file: files += 1
                case .block(let block): entries &+= UInt64(block.entries)
                case .group: break
                case .damage(let name, let position, let what):
                    damage.append((FilePlace(name: name, position: position), what))
                }
                visit(.history(item))
            }
        } catch {
            // Beside a running broker the oldest file may go at any time.
            guard error.code == .notFound else { throw error }
        }
        summary.historyFiles = files
        summary.historyEntries = entries
        for (place, what) in damage { report(.history, place, what) }
    }
}
