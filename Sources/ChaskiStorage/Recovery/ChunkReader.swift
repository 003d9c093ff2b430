import ChaskiModel

/// Reads a file front to back in large pieces.
struct ChunkReader {
    let file: any File
    let size: Int
    private let readAhead: Int
    private var chunk: [UInt8] = []
    private var chunkStart = 0

    init(_ file: any File, size: Int, readAhead: Int) {
        precondition(size >= 0 && readAhead > 0, "sizes")
        self.file = file
        self.size = size
        self.readAhead = readAhead
    }

    /// Exactly `count` bytes from `position`; nil where the file ends before.
    mutating func bytes(at position: Int, count: Int) throws(FileError) -> Bytes? {
        guard position >= 0, count >= 0, position <= size, count <= size - position else {
            return nil
        }
        let offset = position - chunkStart
        if offset < 0 || offset > chunk.count || count > chunk.count - offset {
            chunk = try load(position, count: count)
            chunkStart = position
            guard chunk.count >= count else { return nil }
            return chunk[0..<count]
        }
        return chunk[offset..<(offset + count)]
    }

    /// Reads ahead; where the device fails on what was not asked for, without it.
    private func load(_ position: Int, count: Int) throws(FileError) -> [UInt8] {
        let ahead = min(size - position, max(count, readAhead))
        do throws(FileError) {
            return try file.read(at: position, count: ahead)
        } catch {
            guard error.code == .io, ahead > count else { throw error }
            return try file.read(at: position, count: count)
        }
    }
}
