/// A protobuf message: a value type that generated code declares.
public protocol Message: Sendable, Hashable, CustomDebugStringConvertible {
    /// All fields at their defaults.
    init()

    /// Fields that came with the bytes and are not in the schema; written back on serialising.
    var unknownFields: UnknownFields { get set }

    /// The full name in the .proto file, as `package.Message`.
    static var protoMessageName: String { get }

    /// For the runtime: the type's C descriptor and names.
    static var _schema: MessageSchema { get }

    /// For the runtime: fills a fresh value from the C message at `pointer`.
    mutating func _unpack(
        _ pointer: UnsafeRawPointer, _ reader: inout MessageReader) throws(DecodingError)

    /// For the runtime: fills the zeroed C message at `pointer`.
    func _pack(
        _ pointer: UnsafeMutableRawPointer, _ writer: inout MessageWriter) throws(EncodingError)
}

extension Message {
    /// Decodes one message from all of `bytes`.
    @inlinable
    public init(
        serializedBytes bytes: [UInt8], options: DecodingOptions = DecodingOptions()
    ) throws(DecodingError) {
        try self.init(serializedSpan: bytes.span.bytes, options: options)
    }

    /// Decodes one message from all of `bytes`.
    @inlinable
    public init(
        serializedBytes bytes: ArraySlice<UInt8>, options: DecodingOptions = DecodingOptions()
    ) throws(DecodingError) {
        try self.init(serializedSpan: bytes.span.bytes, options: options)
    }

    /// Decodes one message from all bytes of `span`, which is only read during the call.
    @inlinable
    public init(
        serializedSpan span: RawSpan, options: DecodingOptions = DecodingOptions()
    ) throws(DecodingError) {
        self = try span.withUnsafeBytes { buffer throws(DecodingError) in
            var message = Self()
            let failure = withUnsafeTemporaryAllocation(
                byteCount: TreeMemory.bytes, alignment: TreeMemory.alignment
            ) { memory -> DecodingError? in
                do throws(DecodingError) {
                    let tree = try DecodedTree.open(
                        buffer, in: memory, schema: Self._schema, options: options)
                    defer { tree.close() }
                    var reader = MessageReader(budget: tree.budget)
                    try message._unpack(tree.root, &reader)
                    try reader.charge(0, Self.self)
                    return nil
                } catch {
                    return error
                }
            }
            if let failure { throw failure }
            return message
        }
    }

    /// The message in the wire format.
    @inlinable
    public func serializedBytes(
        options: EncodingOptions = EncodingOptions()
    ) throws(EncodingError) -> [UInt8] {
        var bytes: [UInt8] = []
        try withTree(options) { tree throws(EncodingError) in
            bytes = try tree.serialized(Self._schema)
        }
        return bytes
    }

    /// Appends the message in the wire format to `output`, and allocates nothing for the result.
    ///
    /// - Throws: `EncodingError`: `noRoom` where the free capacity of `output` is too small, and what
    ///   `serializedBytes` throws. Then nothing was appended.
    @inlinable
    public func serialize(
        into output: inout OutputRawSpan, options: EncodingOptions = EncodingOptions()
    ) throws(EncodingError) {
        try output.withUnsafeMutableBytes { buffer, used throws(EncodingError) in
            let room = UnsafeMutableRawBufferPointer(rebasing: buffer[used...])
            try withTree(options) { tree throws(EncodingError) in
                used += try tree.serialize(Self._schema, into: room)
            }
        }
    }

    /// Calls `body` with the message as a C message.
    @inlinable
    @inline(__always)
    func withTree(
        _ options: EncodingOptions, _ body: (EncodedTree) throws(EncodingError) -> Void
    ) throws(EncodingError) {
        let failure = withUnsafeTemporaryAllocation(
            byteCount: TreeMemory.bytes, alignment: TreeMemory.alignment
        ) { memory -> EncodingError? in
            do throws(EncodingError) {
                let tree = EncodedTree.open(Self._schema, in: memory)
                defer { tree.close() }
                var writer = tree.writer(options)
                try _pack(tree.root, &writer)
                try body(tree)
                return nil
            } catch {
                return error
            }
        }
        if let failure { throw failure }
    }

    /// A message made by setting fields of an empty one.
    @inlinable
    public static func with<E: Error>(
        _ populate: (inout Self) throws(E) -> Void
    ) throws(E) -> Self {
        var message = Self()
        try populate(&message)
        return message
    }
}

/// The stack memory in which a tree begins.
@usableFromInline
enum TreeMemory {
    /// As much as Swift takes from the stack.
    @usableFromInline static var bytes: Int { @inlinable get { 1024 } }
    @usableFromInline static var alignment: Int { @inlinable get { 16 } }
}

/// A protobuf enum. Enums of proto3 files are open: a number without a name is
/// `.UNRECOGNIZED(number)`. Enums of proto2 files are closed: `init(rawValue:)` gives nil, and the
/// decoder keeps the number among the unknown fields.
public protocol Enum: RawRepresentable, Hashable, Sendable, CaseIterable
where RawValue == Int32 {
    /// The default: the value with number 0, or the first one of a closed enum.
    init()
}

/// A message behind a reference, copied when written to while shared: for fields of recursive or
/// large types.
public struct Boxed<M: Message>: Hashable, Sendable {
    @usableFromInline
    final class Storage: @unchecked Sendable {
        @usableFromInline var value: M

        @inlinable
        init(_ value: M) {
            self.value = value
        }
    }

    @usableFromInline var storage: Storage

    /// Boxes `value`.
    @inlinable
    public init(_ value: M) {
        storage = Storage(value)
    }

    /// The message.
    @inlinable
    public var value: M {
        get { storage.value }
        _modify {
            if !isKnownUniquelyReferenced(&storage) { storage = Storage(storage.value) }
            yield &storage.value
        }
    }

    @inlinable
    public static func == (left: Self, right: Self) -> Bool {
        left.storage === right.storage || left.storage.value == right.storage.value
    }

    @inlinable
    public func hash(into hasher: inout Hasher) {
        storage.value.hash(into: &hasher)
    }
}
