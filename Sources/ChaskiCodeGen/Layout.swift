/// Decides which message fields lie behind a reference: those of recursive types, which could not
/// be values otherwise, and those of large ones, so that copying a message stays cheap.
enum Layout {
    /// The largest message, in bytes, that lies within another.
    static let largestInline = 192

    static func decideBoxes(_ files: [FileModel]) {
        let all = files.flatMap(\.allMessages)
        for message in all {
            for index in message.fields.indices {
                guard holdsOne(message.fields[index].shape),
                    let target = message.fields[index].kind.message
                else { continue }
                message.fields[index].isBoxed = reaches(target, message)
            }
        }
        for message in all { _ = size(message) }
        precondition(all.allSatisfy { $0.inlineBytes != nil }, "a message without a size")
    }

    private static func holdsOne(_ shape: FieldShape) -> Bool {
        switch shape {
        case .explicit, .required, .member, .implicit: true
        case .repeated, .map: false
        }
    }

    /// True when a value of `start` may hold a value of `goal` within itself.
    private static func reaches(_ start: MessageModel, _ goal: MessageModel) -> Bool {
        var seen: Set<String> = []
        var open = [start]
        while let message = open.popLast() {
            if message === goal { return true }
            guard seen.insert(message.fullName).inserted else { continue }
            for field in message.fields where holdsOne(field.shape) {
                if let next = field.kind.message { open.append(next) }
            }
        }
        return false
    }

    /// About `MemoryLayout.size`; boxes what is large on the way. Recursion ends because recursive
    /// fields are boxed already.
    private static func size(_ message: MessageModel) -> Int {
        if let known = message.inlineBytes { return known }
        var bytes = 8
        var unions = message.oneofs.map { _ in 0 }
        for index in message.fields.indices {
            let field = message.fields[index]
            var width = 8
            if !field.isBoxed, holdsOne(field.shape) {
                width = valueSize(field.kind)
                if field.kind.message != nil, width > largestInline {
                    message.fields[index].isBoxed = true
                    width = 8
                }
            }
            if case .member(let oneof) = field.shape, unions.indices.contains(oneof) {
                unions[oneof] = max(unions[oneof], width)
            } else {
                bytes += width
            }
        }
        bytes += unions.reduce(0) { $0 + $1 + 1 }
        precondition(bytes >= 8, "a message has unknown fields at least")
        message.inlineBytes = bytes
        return bytes
    }

    private static func valueSize(_ kind: FieldKind) -> Int {
        switch kind {
        case .string: 16
        case .message(let message), .group(let message): size(message) + 1
        default: 8
        }
    }
}
