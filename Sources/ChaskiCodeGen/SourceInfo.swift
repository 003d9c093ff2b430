import ChaskiMessages

/// Comments and lines of a .proto file, by descriptor path.
struct SourceInfo {
    private let file: String
    private var comments: [[Int32]: String] = [:]
    private var lines: [[Int32]: Int] = [:]
    /// The file's own comments: above `syntax`, or above `package` where that has none.
    private(set) var header = ""

    init(_ proto: Google_Protobuf_FileDescriptorProto) {
        file = proto.name
        for location in proto.sourceCodeInfo.location {
            if location.path == Self.syntax {
                header = Self.joined(
                    location.leadingDetachedComments + [location.leadingComments])
            }
            if let line = location.span.first, lines[location.path] == nil {
                lines[location.path] = Int(line) + 1
            }
            let text = Self.joined([location.leadingComments, location.trailingComments])
            if !text.isEmpty, comments[location.path] == nil { comments[location.path] = text }
        }
    }

    /// The paths of `syntax` and `edition`.
    static let syntax: [Int32] = [12]
    static let edition: [Int32] = [14]

    /// Comments with an empty line between them.
    private static func joined(_ comments: [String]) -> String {
        comments.compactMap { comment in
            comment.lastIndex { !$0.isWhitespace }.map { String(comment[...$0]) }
        }.joined(separator: "\n\n")
    }

    /// Leading and trailing comment of the element at `path`; empty for none.
    func comment(_ path: [Int32]) -> String { comments[path] ?? "" }

    /// `file.proto:line` of the element at `path`, or of the nearest one around it.
    func place(_ path: [Int32]) -> String {
        var path = path
        while !path.isEmpty {
            if let line = lines[path] { return "\(file):\(line)" }
            path.removeLast()
        }
        return file
    }
}
