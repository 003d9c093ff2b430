import CProtobufC

/// What the runtime knows of a message type beside its C descriptor: names, for errors and debug
/// text. Made by generated code, once per type.
public final class MessageSchema: Sendable {
    /// One field as the .proto file has it.
    struct Field {
        var number: Int32
        var name: String
        /// The letter of `DebugText` that says how to print it.
        var kind: Character
    }

    nonisolated(unsafe) let descriptor: UnsafePointer<ProtobufCMessageDescriptor>
    /// The full name, as `package.Message`.
    public let name: String
    let table: StaticString
    private let children: @Sendable (Int32) -> MessageSchema?

    /// - Parameters:
    ///   - name: the full name, as `package.Message`.
    ///   - descriptor: address of the C descriptor, which lives as long as the process.
    ///   - fields: `number:name:kind` of each field, separated by spaces.
    ///   - children: the schema of the message that a field holds.
    public init(
        name: String, descriptor: UnsafeRawPointer, fields: StaticString,
        children: @escaping @Sendable (Int32) -> MessageSchema? = { _ in nil }
    ) {
        self.name = name
        self.descriptor = descriptor.assumingMemoryBound(to: ProtobufCMessageDescriptor.self)
        table = fields
        self.children = children
        let size = self.descriptor.pointee.sizeof_message
        precondition(size >= MemoryLayout<ProtobufCMessage>.size, "no message descriptor")
        for index in 0..<Int(self.descriptor.pointee.n_fields) {
            let field = self.descriptor.pointee.fields[index]
            precondition(field.type != PROTOBUF_C_TYPE_STRING, "text that C ends at NUL")
            precondition(field.label != PROTOBUF_C_LABEL_REQUIRED, "a field not lowered")
        }
    }

    /// The descriptor of an initialised C message: its first member.
    @inlinable
    public static func descriptor<C>(of message: C) -> UnsafeRawPointer {
        withUnsafeBytes(of: message) { $0.load(as: UnsafeRawPointer.self) }
    }

    /// All fields, parsed from the table; for error and debug texts only.
    var fields: [Field] {
        table.description.split(separator: " ").compactMap { entry in
            let parts = entry.split(separator: ":")
            guard parts.count == 3, let number = Int32(parts[0]), let kind = parts[2].first else {
                return nil
            }
            return Field(number: number, name: String(parts[1]), kind: kind)
        }
    }

    /// The name of field `number`, found without memory beside the result, as errors of decoding
    /// are made when the budget is spent.
    func fieldName(_ number: Int32) -> String? {
        table.withUTF8Buffer { bytes in
            var rest = bytes[...]
            while !rest.isEmpty {
                let entry = rest.prefix { $0 != UInt8(ascii: " ") }
                rest = rest.dropFirst(entry.count &+ 1)
                let digits = entry.prefix { $0 != UInt8(ascii: ":") }
                let value = digits.reduce(Int32(0)) { $0 &* 10 &+ Int32($1 & 0x0F) }
                guard value == number, !digits.isEmpty else { continue }
                let name = entry.dropFirst(digits.count &+ 1).prefix { $0 != UInt8(ascii: ":") }
                return String(decoding: name, as: UTF8.self)
            }
            return nil
        }
    }

    /// The schema of the message in field `number`, if that is a message, group or map.
    func child(_ number: Int32) -> MessageSchema? { children(number) }

    /// True for a field that holds one value and is not written as a group.
    func isSingular(_ number: Int32) -> Bool {
        let count = Int(descriptor.pointee.n_fields)
        guard let fields = descriptor.pointee.fields, let number = UInt32(exactly: number),
            let index = WireFormat.index(of: number, in: fields, count)
        else { return false }
        return fields[index].label != PROTOBUF_C_LABEL_REPEATED
            && !WireFormat.isGroup(fields + index)
    }

    /// `package.Message.field`, or the number for a field without a name.
    @usableFromInline
    func path(_ number: Int32) -> String {
        "\(name).\(fieldName(number) ?? String(number))"
    }

    /// The names of a way of field numbers from this message down.
    func path(_ numbers: [Int32]) -> String {
        var result = name
        var schema: MessageSchema? = self
        for number in numbers where number != 0 {
            result += "." + (schema?.fieldName(number) ?? String(number))
            schema = schema?.child(number)
        }
        return result
    }
}
