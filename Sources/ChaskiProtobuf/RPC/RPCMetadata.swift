/// Names and values that travel with a call, in order; a name may occur more than once. Names are
/// compared as they are: write them in lower case.
public struct RPCMetadata: Sendable, Hashable, RandomAccessCollection,
    ExpressibleByDictionaryLiteral
{
    /// One pair.
    public struct Element: Sendable, Hashable {
        /// The name, as `traceparent`.
        public var name: String
        /// The value.
        public var value: String

        /// A pair of `name` and `value`.
        public init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    private var elements: [Element] = []

    /// No pairs.
    public init() {}

    /// The pairs of a literal, as `["tenant": "blue"]`.
    public init(dictionaryLiteral pairs: (String, String)...) {
        elements = pairs.map { Element(name: $0.0, value: $0.1) }
    }

    /// Adds a pair behind the others.
    public mutating func append(_ name: String, _ value: String) {
        elements.append(Element(name: name, value: value))
    }

    /// The first value of `name`. Setting replaces all values of the name; nil removes them.
    public subscript(name: String) -> String? {
        get { elements.first { $0.name == name }?.value }
        set {
            elements.removeAll { $0.name == name }
            if let newValue { append(name, newValue) }
        }
    }

    /// All values of `name`, in order.
    public func values(of name: String) -> [String] {
        elements.filter { $0.name == name }.map(\.value)
    }

    public var startIndex: Int { 0 }
    public var endIndex: Int { elements.count }
    public subscript(position: Int) -> Element { elements[position] }
}

/// What a caller says of one call beside its messages.
public struct RPCOptions: Sendable, Hashable {
    /// Pairs for the handler.
    public var metadata: RPCMetadata
    /// The time that the whole call may take; nil for as long as it takes.
    public var timeout: Duration?
    /// True: wait for an instance of the service, within `timeout`. False: fail at once with
    /// `unavailable` when there is none.
    public var waitsForInstance: Bool
    /// Limits for what comes back.
    public var decoding: DecodingOptions

    /// Options of a call.
    public init(
        metadata: RPCMetadata = [:], timeout: Duration? = nil, waitsForInstance: Bool = false,
        decoding: DecodingOptions = DecodingOptions()
    ) {
        self.metadata = metadata
        self.timeout = timeout
        self.waitsForInstance = waitsForInstance
        self.decoding = decoding
    }
}
