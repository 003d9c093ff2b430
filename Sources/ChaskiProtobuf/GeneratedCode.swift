// What generated code is made of, beside reading and writing, so that it stays short.

extension MessageSchema {
    /// The schema of the message type `C`.
    /// - Parameters:
    ///   - name: the full name, as `package.Message`.
    ///   - message: any value; `initialise` fills it.
    ///   - initialise: protobuf-c's function that does.
    ///   - fields: `number:name:kind` of each field, separated by spaces.
    ///   - children: the schema of the message that a field holds.
    public convenience init<C>(
        _ name: String, _ message: C, _ initialise: (UnsafeMutablePointer<C>?) -> Void,
        fields: StaticString,
        children: @escaping @Sendable (Int32) -> MessageSchema? = { _ in nil }
    ) {
        var message = message
        initialise(&message)
        self.init(
            name: name, descriptor: Self.descriptor(of: message), fields: fields,
            children: children)
    }
}

extension Optional where Wrapped: Message {
    /// The message, or an empty one. Writing sets it; the value moves out meanwhile, so that it is
    /// not copied.
    @inlinable
    public var _orEmpty: Wrapped {
        get { self ?? Wrapped() }
        _modify {
            var value = self ?? Wrapped()
            self = nil
            defer { self = value }
            yield &value
        }
    }
}

/// A box of one message, whichever; for `Optional` only.
public protocol _MessageBox: Sendable {
    /// The message's type.
    associatedtype Content: Message
    /// Boxes `value`.
    init(_ value: Content)
    /// The message.
    var value: Content { get set }
}

extension Boxed: _MessageBox {
    /// The message's type.
    public typealias Content = M
}

extension Optional where Wrapped: _MessageBox {
    /// The message in the box, or an empty one. Writing sets it; the box moves out meanwhile, so
    /// that the message is not copied.
    @inlinable
    public var _orEmpty: Wrapped.Content {
        get { self?.value ?? Wrapped.Content() }
        _modify {
            var box = self ?? Wrapped(Wrapped.Content())
            self = nil
            defer { self = box }
            yield &box.value
        }
    }
}
