/// Open files that have no name any more, made smaller a slice at a time until nothing is left of
/// them. Freeing 64 MiB at once holds up every sync of the file system for a tenth of a second
/// (ext4 with `discard`); a slice of 4 MiB for 8 milliseconds, a smaller one costs more in all.
struct RemovedFiles: Sendable {
    private var files: [any File]
    /// Bytes of the last one; nil where nobody asked yet.
    private var left: Int?

    init(_ files: [any File]) {
        self.files = files
    }

    /// Frees one slice. False when nothing is left to free. What cannot be shrunk is closed as it
    /// is.
    mutating func shrink(by bytes: Int) -> Bool {
        guard let file = files.last else { return false }
        do throws(FileError) {
            if left == nil { left = try file.size() }
            let rest = max(0, (left ?? 0) - bytes)
            try file.shrink(to: rest)
            left = rest
        } catch {
            left = 0
        }
        if left == 0 {
            files.removeLast()
            left = nil
        }
        return true
    }
}
