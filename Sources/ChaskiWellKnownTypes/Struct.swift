extension Google_Protobuf_Value: ExpressibleByNilLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral, ExpressibleByStringLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    /// Null.
    public init(nilLiteral: ()) {
        self.init(kind: .nullValue(.nullValue))
    }

    /// True or false.
    public init(boolValue: Bool) {
        self.init(kind: .boolValue(boolValue))
    }

    /// A number.
    public init(numberValue: Double) {
        self.init(kind: .numberValue(numberValue))
    }

    /// Text.
    public init(stringValue: String) {
        self.init(kind: .stringValue(stringValue))
    }

    /// An object.
    public init(structValue: Google_Protobuf_Struct) {
        self.init(kind: .structValue(structValue))
    }

    /// An array.
    public init(listValue: Google_Protobuf_ListValue) {
        self.init(kind: .listValue(listValue))
    }

    public init(booleanLiteral value: Bool) {
        self.init(boolValue: value)
    }

    public init(integerLiteral value: Int64) {
        self.init(numberValue: Double(value))
    }

    public init(floatLiteral value: Double) {
        self.init(numberValue: value)
    }

    public init(stringLiteral value: String) {
        self.init(stringValue: value)
    }

    public init(arrayLiteral elements: Google_Protobuf_Value...) {
        self.init(listValue: Google_Protobuf_ListValue(values: elements))
    }

    /// The last of equal names wins.
    public init(dictionaryLiteral elements: (String, Google_Protobuf_Value)...) {
        let fields = Dictionary(elements) { _, last in last }
        self.init(structValue: Google_Protobuf_Struct(fields: fields))
    }

    /// True when the value is null. A message in which nothing is set is no null.
    public var isNull: Bool {
        if case .nullValue? = kind { true } else { false }
    }

    /// The element called `name` of an object; nil for other values.
    public subscript(name: String) -> Google_Protobuf_Value? {
        guard case .structValue(let object)? = kind else { return nil }
        return object[name]
    }
}

extension Google_Protobuf_Struct: ExpressibleByDictionaryLiteral {
    /// The last of equal names wins.
    public init(dictionaryLiteral elements: (String, Google_Protobuf_Value)...) {
        self.init(fields: Dictionary(elements) { _, last in last })
    }

    /// The value called `name`.
    public subscript(name: String) -> Google_Protobuf_Value? {
        get { fields[name] }
        set { fields[name] = newValue }
    }
}

extension Google_Protobuf_ListValue: ExpressibleByArrayLiteral {
    public init(arrayLiteral elements: Google_Protobuf_Value...) {
        self.init(values: elements)
    }
}
