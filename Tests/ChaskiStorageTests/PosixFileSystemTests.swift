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
