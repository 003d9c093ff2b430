import ArgumentParser
import ChaskiDisk
import ChaskiModel
import ChaskiRecords
import ChaskiStorage

/// `chaski journal`.
struct JournalCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "journal", abstract: "Look into a data directory without a broker.",
        discussion: """
            FOLDER is a data directory, or one namespace in it. Nothing is changed. Beside a \
            running broker the end of a journal may look unfinished.
            """,
        subcommands: [JournalDump.self, JournalVerify.self])
}

struct JournalDump: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dump", abstract: "Print the files, groups and entries of a journal.")

    @Argument(help: "A data directory, or one namespace in it.")
    var folder: String

    @Flag(help: "Print the messages of each batch too.")
    var messages = false

    @OptionGroup var output: OutputOptions

    func run() throws {
        let kind = try output.kind()
        let isJSON = kind == .json
        for place in try JournalFolder.find(in: folder) {
            var damage: Failure?
            let dump = JournalPrinter(namespace: place.name, isJSON: isJSON)
            let summary = try place.inspect { item in
                Terminal.lines(dump.lines(item))
                if messages, case .entry(let entry, _, _) = item, entry.kind == .batch {
                    do throws(Failure) {
                        try Terminal.lines(dump.messages(entry))
                    } catch {
                        damage = error
                    }
                }
            }
            if let damage { Terminal.note(FailureReport.text(damage)) }
            if !isJSON {
                Terminal.lines(kind.lines(JournalPrinter.fields(summary, place.name, kind)))
            }
        }
    }
}

struct JournalVerify: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Check every byte of a journal, and that no file is missing or cut off.",
        discussion:
            "Exit status 1 where something is damaged; an unfinished last write is not damage.")

    @Argument(help: "A data directory, or one namespace in it.")
    var folder: String

    @OptionGroup var output: OutputOptions

    func run() throws {
        let kind = try output.kind()
        var isDamaged = false
        var results: [JSONValue] = []
        for place in try JournalFolder.find(in: folder) {
            let reader = BatchChecker()
            let summary = try place.inspect { reader.check($0) }
            let isSound = summary.damageCount == 0 && reader.problems.isEmpty
            isDamaged = isDamaged || !isSound
            results.append(JournalPrinter.json(summary, place.name, reader.problems))
            guard kind != .json else { continue }
            Terminal.lines(kind.lines(JournalPrinter.fields(summary, place.name, kind)))
            for damage in summary.damage {
                Terminal.line("damaged at \(damage.place): \(damage.what)")
            }
            for problem in reader.problems { Terminal.line("damaged: \(problem)") }
            Terminal.line(isSound ? "sound" : "DAMAGED")
        }
        if kind == .json { kind.print(.object(["journals": .array(results)])) }
        if isDamaged { throw ProgramEnd(.checkFailed) }
    }
}

/// Checks what is inside the batches: the journal's own checksums do not look there.
private final class BatchChecker {
    private(set) var problems: [String] = []
    private static let problemsKept = 100

    func check(_ item: InspectedItem) {
        guard case .entry(let entry, let position, true) = item, entry.kind == .batch,
            problems.count < Self.problemsKept
        else { return }
        do throws(Failure) {
            let view = try RecordBatchView(
                validating: entry.body, limits: .maximum, origin: .delivered)
            guard view.count == entry.count, view.baseOffset == entry.baseOffset else {
                problems.append("the batch at byte \(position) is not the one that its entry names")
                return
            }
            for place in 0..<view.count { _ = try view.record(at: place) }
        } catch {
            problems.append("the batch at byte \(position): \(error.message)")
        }
    }
}

/// One namespace's journal.
private struct JournalFolder {
    let name: String
    let path: String

    /// The journals in a data directory, or the one that the path names itself.
    static func find(in path: String) throws(Failure) -> [JournalFolder] {
        let names = try FileProblem.list(path)
        if names.contains(where: { JournalName($0) != nil }) {
            let name = path.split(separator: "/").last.map { String($0) } ?? path
            return [JournalFolder(name: name, path: path)]
        }
        var found: [JournalFolder] = []
        for name in names {
            let folder = "\(path)/\(name)"
            guard let inner = try? FileProblem.list(folder),
                inner.contains(where: { JournalName($0) != nil })
            else { continue }
            found.append(JournalFolder(name: name, path: folder))
        }
        guard !found.isEmpty else {
            throw Failure(
                .notFound, FileProblem.unknownFile,
                "there is no journal in \(Text.printable(path)); name a broker's data directory, "
                    + "as in chaski journal verify ./chaski-data")
        }
        return found
    }

    func inspect(_ visit: (InspectedItem) -> Void) throws(Failure) -> InspectionSummary {
        let fileSystem: PosixFileSystem
        do throws(FileError) {
            fileSystem = try PosixFileSystem(path: path)
        } catch {
            throw Failure(.unavailable, .ioFailed, error.message)
        }
        return try JournalInspector.inspect(fileSystem, visit: visit)
    }
}

/// The lines of a dump.
private struct JournalPrinter {
    let namespace: String
    let isJSON: Bool

    func lines(_ item: InspectedItem) -> [String] {
        [isJSON ? json(item).text : text(item)]
    }

    private func text(_ item: InspectedItem) -> String {
        switch item {
        case .file(let header, let isNewest):
            return "file \(header.file)  epoch \(header.epoch)  first group \(header.sequence)  "
                + "\(Units.bytes(header.fileBytes))\(isNewest ? "  newest" : "")"
        case .group(let group):
            let checkpoint =
                (group.beginsCheckpoint > 0 ? "  begins checkpoint \(group.beginsCheckpoint)" : "")
                + (group.endsCheckpoint > 0 ? "  ends checkpoint \(group.endsCheckpoint)" : "")
            return "  group \(group.sequence) at \(group.place)  \(group.length) bytes  "
                + "\(group.entryCount) \(group.entryCount == 1 ? "entry" : "entries")  "
                + "\(Units.timestamp(wallNanos: group.time.wall))" + checkpoint
        case .entry(let entry, let position, let isSound):
            let what =
                entry.kind == .batch
                ? "topic \(entry.topic.rawValue) offsets \(entry.baseOffset)..<"
                    + "\(entry.baseOffset &+ UInt64(entry.count))" : ""
            return "    \(entry.kind) at byte \(position)  \(entry.body.count) bytes  \(what)"
                + (isSound ? "" : "  DAMAGED")
        case .segment(let segment):
            return "segment \(segment.id.serial)  topic \(segment.id.topic.rawValue)  offsets "
                + "\(segment.first)..<\(segment.end)  from files \(segment.firstSource) to "
                + "\(segment.id.source)  \(Units.bytes(segment.fileBytes))"
        case .history(let item): return text(item)
        case .damage(let damage): return "  damaged at \(damage.place): \(damage.what)"
        case .unfinished(let place): return "  unfinished write at \(place)"
        }
    }

    private func text(_ item: HistoryReader.Item) -> String {
        switch item {
        case .file(let header, let bytes):
            return "history \(header.serial)  \(Units.bytes(UInt64(clamping: bytes)))  begun "
                + Units.timestamp(wallNanos: header.begun.wall)
        case .block(let block):
            return "  groups \(block.firstGroup) to \(block.lastGroup) of file \(block.file)  "
                + "\(block.stored) bytes"
        case .group(let group):
            return "    group \(group.sequence)  \(Units.timestamp(wallNanos: group.time.wall))  "
                + "\(group.entries.count) state \(group.entries.count == 1 ? "entry" : "entries")  "
                + "\(group.entries.reduce(0) { $0 + $1.count }) bytes"
        case .damage(let name, let position, let what):
            return "  damaged at \(name):\(position): \(what)"
        }
    }

    private func json(_ item: InspectedItem) -> JSONValue {
        var object: JSONObject = ["namespace": .string(namespace)]
        switch item {
        case .file(let header, let isNewest):
            object.append("kind", "file")
            object.append("file", .unsigned(header.file))
            object.append("epoch", .unsigned(UInt64(header.epoch)))
            object.append("sequence", .unsigned(header.sequence))
            object.append("bytes", .unsigned(header.fileBytes))
            object.append("newest", .bool(isNewest))
        case .group(let group):
            object.append("kind", "group")
            object.append("file", .unsigned(group.place.file))
            object.append("position", .unsigned(group.place.position))
            object.append("sequence", .unsigned(group.sequence))
            object.append("bytes", .unsigned(UInt64(group.length)))
            object.append("entries", .unsigned(UInt64(group.entryCount)))
            object.append("time", .string(Units.timestamp(wallNanos: group.time.wall)))
            object.append("beginsCheckpoint", .unsigned(group.beginsCheckpoint))
            object.append("endsCheckpoint", .unsigned(group.endsCheckpoint))
        case .entry(let entry, let position, let isSound):
            object.append("kind", .string("\(entry.kind)"))
            object.append("position", .unsigned(position))
            object.append("bytes", .unsigned(UInt64(entry.body.count)))
            object.append("topic", .unsigned(entry.topic.rawValue))
            object.append("baseOffset", .unsigned(entry.baseOffset))
            object.append("count", .unsigned(UInt64(entry.count)))
            object.append("sound", .bool(isSound))
        case .segment(let segment):
            object.append("kind", "segment")
            object.append("serial", .unsigned(segment.id.serial))
            object.append("topic", .unsigned(segment.id.topic.rawValue))
            object.append("firstOffset", .unsigned(segment.first))
            object.append("endOffset", .unsigned(segment.end))
            object.append("firstFile", .unsigned(segment.firstSource))
            object.append("lastFile", .unsigned(segment.id.source))
            object.append("bytes", .unsigned(segment.fileBytes))
        case .history(let item): append(item, to: &object)
        case .damage(let damage):
            object.append("kind", "damage")
            object.append("place", .string("\(damage.place)"))
            object.append("what", .string(damage.what))
        case .unfinished(let place):
            object.append("kind", "unfinished")
            object.append("place", .string("\(place)"))
        }
        return .object(object)
    }

    private func append(_ item: HistoryReader.Item, to object: inout JSONObject) {
        switch item {
        case .file(let header, let bytes):
            object.append("kind", "historyFile")
            object.append("serial", .unsigned(header.serial))
            object.append("bytes", .unsigned(UInt64(clamping: bytes)))
            object.append("begun", .string(Units.timestamp(wallNanos: header.begun.wall)))
        case .block(let block):
            object.append("kind", "historyBlock")
            object.append("firstGroup", .unsigned(block.firstGroup))
            object.append("lastGroup", .unsigned(block.lastGroup))
            object.append("file", .unsigned(block.file))
            object.append("bytes", .unsigned(UInt64(block.stored)))
        case .group(let group):
            object.append("kind", "historyGroup")
            object.append("sequence", .unsigned(group.sequence))
            object.append("time", .string(Units.timestamp(wallNanos: group.time.wall)))
            object.append("entries", .unsigned(UInt64(group.entries.count)))
        case .damage(let name, let position, let what):
            object.append("kind", "damage")
            object.append("place", .string("\(name):\(position)"))
            object.append("what", .string(what))
        }
    }

    /// The messages of a batch entry.
    func messages(_ entry: JournalEntry) throws(Failure) -> [String] {
        let view = try RecordBatchView(validating: entry.body, limits: .maximum, origin: .delivered)
        var lines: [String] = []
        for place in 0..<view.count where view.isStored(place) {
            let record = try view.record(at: place)
            let message = ReceivedMessage(
                namespace: namespace, topic: "#\(entry.topic.rawValue)", subscription: "",
                offset: record.offset, key: record.key.map { Array($0) },
                attributes: record.attributes.map { ($0.name, $0.value) },
                payload: Array(record.payload), appendTimeNanos: view.appendTimeNanos, handout: 0,
                failed: 0)
            let text = message.json.text
            lines.append(isJSON ? text : "      " + text)
        }
        return lines
    }

    static func fields(
        _ summary: InspectionSummary, _ name: String, _ kind: OutputKind
    ) -> FieldList {
        var fields = FieldList()
        fields.append("namespace", name)
        fields.append(
            "files", "\(summary.files) and \(summary.spares) spare, epoch \(summary.epoch)")
        if summary.segments > 0 { fields.append("segments", kind.count(UInt64(summary.segments))) }
        if summary.historyFiles > 0 {
            fields.append(
                "history",
                "\(kind.count(summary.historyEntries)) entries in \(summary.historyFiles) files")
        }
        fields.append(
            "groups",
            "\(kind.count(summary.groups)) with \(kind.count(summary.entries)) entries, "
                + kind.bytes(summary.bytes))
        fields.append(
            "messages",
            "\(kind.count(summary.offsets)) in \(kind.count(summary.batches)) batches")
        if let time = summary.lastTime {
            fields.append("last write", Units.timestamp(wallNanos: time.wall))
        }
        if let place = summary.unfinished { fields.append("unfinished write", "\(place)") }
        fields.append("damage", kind.count(summary.damageCount))
        return fields
    }

    static func json(
        _ summary: InspectionSummary, _ name: String, _ problems: [String]
    ) -> JSONValue {
        .object([
            "namespace": .string(name), "files": .integer(Int64(summary.files)),
            "spares": .integer(Int64(summary.spares)),
            "segments": .integer(Int64(summary.segments)),
            "historyFiles": .integer(Int64(summary.historyFiles)),
            "historyEntries": .unsigned(summary.historyEntries),
            "epoch": .unsigned(UInt64(summary.epoch)),
            "groups": .unsigned(summary.groups), "entries": .unsigned(summary.entries),
            "batches": .unsigned(summary.batches), "messages": .unsigned(summary.offsets),
            "bytes": .unsigned(summary.bytes),
            "unfinished": summary.unfinished.map { .string("\($0)") } ?? .null,
            "damageCount": .unsigned(summary.damageCount + UInt64(problems.count)),
            "damage": .array(
                summary.damage.map { .string("\($0.place): \($0.what)") }
                    + problems.map { .string($0) }),
        ])
    }
}
