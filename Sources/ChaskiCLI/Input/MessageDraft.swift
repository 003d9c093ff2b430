package import ChaskiModel

/// A message as the user described it, before it is published.
package struct MessageDraft: Hashable, Sendable {
    package struct Attribute: Hashable, Sendable {
        package var name: String
        package var value: String

        package init(name: String, value: String) {
            self.name = name
            self.value = value
        }

        /// Reads `name=value`; nil without a name or `=`.
        package init?(_ text: String) {
            guard let equals = text.firstIndex(of: "="), equals != text.startIndex else {
                return nil
            }
            name = String(text[..<equals])
            value = String(text[text.index(after: equals)...])
        }
    }

    package var payload: [UInt8]
    package var key: [UInt8]?
    package var attributes: [Attribute]

    package init(payload: [UInt8], key: [UInt8]? = nil, attributes: [Attribute] = []) {
        self.payload = payload
        self.key = key
        self.attributes = attributes
    }

    /// One line of `--ndjson`: an object with `payload` (a string, or any JSON value, which is
    /// sent as its compact text) or `payloadBase64`, and optionally `key` or `keyBase64`, and
    /// `attributes` (an object; values are strings, numbers or booleans). The flags' key and
    /// attributes hold where the line says nothing.
    ///
    /// - Throws: `invalid-setting` that names the line and what is wrong with it.
    package init(
        json line: ArraySlice<UInt8>, number: Int, defaults: MessageDraft
    ) throws(Failure) {
        self = defaults
        let value: JSONValue
        do {
            value = try JSONParser.parse(line)
        } catch {
            throw Self.wrong(number, "\(error.message) at byte \(error.position)")
        }
        guard case .object(let object) = value else {
            throw Self.wrong(number, "not an object like {\"payload\": \"...\"}")
        }
        var hasPayload = false
        for member in object.members {
            switch (member.name, member.value) {
            case ("payload", let value):
                payload = Array((Self.text(value)).utf8)
                hasPayload = true
            case ("payloadBase64", .string(let text)):
                payload = try Self.bytes(text, member.name, number)
                hasPayload = true
            case ("key", .null): key = nil
            case ("key", .string(let text)): key = Array(text.utf8)
            case ("key", .integer), ("key", .unsigned): key = Array(member.value.text.utf8)
            case ("keyBase64", .string(let text)):
                key = try Self.bytes(text, member.name, number)
            case ("attributes", .object(let attributes)):
                for attribute in attributes.members {
                    try set(attribute.name, attribute.value, number)
                }
            default: throw Self.wrong(number, "cannot take \"\(Text.printable(member.name))\"")
            }
        }
        guard hasPayload else { throw Self.wrong(number, "has no \"payload\"") }
    }

    private mutating func set(_ name: String, _ value: JSONValue, _ number: Int) throws(Failure) {
        switch value {
        case .array, .object, .null:
            throw Self.wrong(number, "attribute \"\(Text.printable(name))\" is not a string")
        default: break
        }
        attributes.removeAll { $0.name == name }
        attributes.append(Attribute(name: name, value: Self.text(value)))
    }

    private static func text(_ value: JSONValue) -> String {
        if case .string(let text) = value { return text }
        return value.text
    }

    private static func bytes(
        _ text: String, _ name: String, _ number: Int
    ) throws(Failure) -> [UInt8] {
        guard let bytes = Base64.decode(text) else {
            throw wrong(number, "\"\(name)\" is not Base64")
        }
        return bytes
    }

    private static func wrong(_ number: Int, _ what: String) -> Failure {
        Failure(
            .invalidArgument, .invalidSetting,
            "line \(number) of the input: \(what); correct the line and publish again from it")
    }
}
