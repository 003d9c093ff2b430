import ChaskiDisk
import ChaskiModel
import ChaskiStorage
import Testing

#if canImport(Glibc)
    import Glibc
#endif

/// A directory of its own, removed at the end.
final class TemporaryDirectory {
    let path: String

    init() throws {
        var template = Array("/tmp/chaski-storage-XXXXXX".utf8CString)
        let made = template.withUnsafeMutableBufferPointer { buffer in
            buffer.baseAddress.flatMap { mkdtemp($0) }.map { String(cString: $0) }
        }
        path = try #require(made)
    }

    deinit {
        if let directory = try? PosixFileSystem(path: path) {
            for name in (try? directory.list()) ?? [] { try? directory.remove(name) }
        }
        rmdir(path)
    }
}

@Suite struct PosixFileSystemTests {
    @Test func aJournalLivesInADirectory() throws {
        let directory = try TemporaryDirectory()
        do {
            let opened = try Opened(try PosixFileSystem(path: directory.path))
            for offset in 0..<60 {
                #expect(
                    opened.commit(Small.group([Small.batch(Offset(offset), bytes: 2_000)])) != nil)
            }
            opened.maintain()
            #expect(try opened.readAll().map(\.baseOffset) == Array(0..<60))
            opened.journal.close()
        }
        let again = try Opened(try PosixFileSystem(path: directory.path))
        #expect(again.batches.map(\.baseOffset) == Array(0..<60))
        #expect(try again.readAll().map(\.bytes) == again.batches.map(\.body))
        #expect(again.journal.recovery.epoch == 2)
    }

    @Test func whatWasCutOffOrLostIsRefused() throws {
        let directory = try TemporaryDirectory()
        let files = try PosixFileSystem(path: directory.path)
        try writeOne(directory, 0)
        try writeOne(directory, 1)
        let newest = try #require(try files.list().last { $0.hasSuffix(".log") })
        let path = "\(directory.path)/\(newest)"
        #expect(truncate(path, 20_000) == 0)
        var failure = #expect(throws: Failure.self) { try Opened(files) }
        #expect(failure?.message.contains("has 20000 of its 32768 bytes") == true)
        #expect(try JournalInspector.inspect(files) { _ in }.damageCount > 0)
        #expect(truncate(path, 32_768) == 0)
        try writeOne(directory, 2)
        try files.remove(try #require(try files.list().last { $0.hasSuffix(".log") }))
        failure = #expect(throws: Failure.self) { try Opened(files) }
        #expect(failure?.code == .dataLoss)
        #expect(try JournalInspector.inspect(files) { _ in }.damageCount > 0)
    }

    /// Opens, writes one group, and closes.
    private func writeOne(_ directory: TemporaryDirectory, _ offset: Offset) throws {
        let opened = try Opened(try PosixFileSystem(path: directory.path))
        #expect(opened.commit(Small.group([Small.batch(offset)])) != nil)
        opened.journal.close()
    }

    @Test func aSecondOwnerIsRefused() throws {
        let directory = try TemporaryDirectory()
        let first = try Opened(try PosixFileSystem(path: directory.path))
        let second = try PosixFileSystem(path: directory.path)
        let failure = #expect(throws: Failure.self) { try Opened(second) }
        #expect(failure?.reason == .inUse)
        #expect(failure?.message.contains(directory.path) == true)
        first.journal.close()
        #expect(throws: Never.self) { try Opened(try PosixFileSystem(path: directory.path)) }
    }

    @Test func creationIsExclusiveAndAllocates() throws {
        let directory = try TemporaryDirectory()
        let fileSystem = try PosixFileSystem(path: directory.path)
        let file = try fileSystem.create("a", allocating: 10_000)
        #expect(try file.size() == 10_000)
        #expect(try file.read(at: 9_990, count: 100) == [UInt8](repeating: 0, count: 10))
        #expect(throws: FileError.self) { try fileSystem.create("a", allocating: 1) }
        #expect(throws: FileError.self) { try fileSystem.open("b") }
        #expect(throws: FileError.self) { try fileSystem.create("huge", allocating: 1 << 50) }
        #expect(try fileSystem.list() == ["a"])
        #expect(try fileSystem.space().totalBytes > 0)
    }

    @Test func theClockContinues() {
        let clock = SystemClock(offset: 1_000)
        let reading = clock.reading()
        #expect(clock.now().clock >= reading.bootNanos + 1_000)
        #expect(reading.bootID != 0)
        #expect(SystemClock().bootID == reading.bootID)
    }
}
