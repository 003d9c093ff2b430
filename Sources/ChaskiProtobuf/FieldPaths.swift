/// Fields of a message and of the messages in them: what a field mask names. Works on the wire
/// format, so that it needs nothing from generated code.
package struct FieldPaths: Hashable, Sendable {
    /// The fields by number; one without paths of its own is named as a whole.
    private var fields: [Int32: FieldPaths] = [:]
    private var isWhole: Bool { fields.isEmpty }

    private init() {}

    /// Paths of names with dots between; nil when one does not name a field of `M`, or goes on
    /// below a field that is not a single message.
    package init?<M: Message>(_ paths: [String], of type: M.Type) {
        for path in paths {
            let names = path.split(separator: ".", omittingEmptySubsequences: false)
            guard insert(names[...], M._schema) else { return nil }
        }
    }

    private mutating func insert(_ names: ArraySlice<Substring>, _ schema: MessageSchema) -> Bool {
        guard let name = names.first,
            let field = schema.fields.first(where: { $0.name == String(name) })
        else { return false }
        let rest = names.dropFirst()
        if rest.isEmpty {
            fields[field.number] = FieldPaths()
            return true
        }
        guard let child = schema.child(field.number), schema.isSingular(field.number) else {
            return false
        }
        // A field that is named as a whole stays so; the rest of the path is still checked.
        if let known = fields[field.number], known.isWhole {
            var other = FieldPaths()
            return other.insert(rest, child)
        }
        return fields[field.number, default: FieldPaths()].insert(rest, child)
    }

    /// The names of all fields of `M`, in the order of their numbers.
    package static func names<M: Message>(of type: M.Type) -> [String] {
        M._schema.fields.sorted { $0.number < $1.number }.map(\.name)
    }

    /// The records of the fields named here; of messages named in part, these parts.
    package func keeping(_ bytes: [UInt8]) -> [UInt8] {
        filtered(bytes, keeps: true)
    }

    /// All other records, unknown fields included.
    package func removing(_ bytes: [UInt8]) -> [UInt8] {
        filtered(bytes, keeps: false)
    }

    private func filtered(_ bytes: [UInt8], keeps: Bool) -> [UInt8] {
        var result: [UInt8] = []
        bytes.withUnsafeBytes { buffer in
            guard let base = buffer.baseAddress else { return }
            filter(base, 0, buffer.count, keeps, &result)
        }
        return result
    }

    /// Recursive as deep as the paths are; the bytes are of a message that was just serialised.
    private func filter(
        _ base: UnsafeRawPointer, _ from: Int, _ to: Int, _ keeps: Bool, _ result: inout [UInt8]
    ) {
        var at = from
        while at < to {
            guard let (tag, start) = try? WireFormat.readTag(base, at, to),
                let next = try? WireFormat.skipValue(base, start, to, tag: tag, depthLeft: .max)
            else { return }
            let named = fields[Int32(truncatingIfNeeded: tag >> 3)]
            if let named, !named.isWhole, tag & 7 == WireType.lengthPrefixed,
                let (length, content) = try? WireFormat.readLength(base, start, to)
            {
                var part: [UInt8] = []
                named.filter(base, content, content + length, keeps, &part)
                Varint.append(UInt64(tag), to: &result)
                Varint.append(UInt64(part.count), to: &result)
                result += part
            } else if (named != nil) == keeps {
                result += UnsafeRawBufferPointer(start: base + at, count: next - at)
            }
            at = next
        }
    }
}
