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
    package var dedupID: [UInt8]?
    /// Where it goes; nil where the command says that for all.
    package var topic: String?

    package init(
        payload: [UInt8], key: [UInt8]? = nil, attributes: [Attribute] = [],
        dedupID: [UInt8]? = nil, topic: String? = nil
    ) {
        self.payload = payload
        self.key = key
        self.attributes = attributes
        self.dedupID = dedupID
        self.topic = topic
    }

    /// One line of `--ndjson`: an object with `payload` (a string, or any other JSON value, which
    /// is sent as the very bytes that spell it) or `payloadBase64`, and optionally `key` or
    /// `keyBase64` (strings; null for none), `attributes` (an object of strings), `dedupId` (a
    /// string), and, where it `takesTopic`, `topic`. The flags' key, attributes and topic hold
    /// where the line says nothing. Nothing is said twice.
    ///
    /// - Throws: `invalid-setting` that names the line, the field, and what is wrong with it.
    package init(
        json line: ArraySlice<UInt8>, number: Int, defaults: MessageDraft, takesTopic: Bool = false
    ) throws(Failure) {
        self = defaults
        let found: [JSONParser.SourceMember]?
        do {
            found = try JSONParser.members(of: line)
        } catch {
            throw Self.wrong(number, "\(error.message) at byte \(error.position)")
        }
        guard let members = found else {
            throw Self.wrong(number, "not an object like {\"payload\": \"...\"}")
        }
        var seen: Set<String> = []
        for member in members {
            guard seen.insert(member.name).inserted else {
                throw Self.wrong(number, "has \"\(Text.printable(member.name))\" twice")
            }
            if takesTopic, member.name == "topic", case .string(let name) = member.value {
                topic = name
            } else {
                try take(member, number)
            }
        }
        for name in ["payload", "key"] where seen.isSuperset(of: [name, name + "Base64"]) {
            throw Self.wrong(number, "has both \"\(name)\" and \"\(name)Base64\"")
        }
        guard seen.contains("payload") || seen.contains("payloadBase64") else {
            throw Self.wrong(number, "has no \"payload\"")
        }
    }

    private mutating func take(
        _ member: JSONParser.SourceMember, _ number: Int
    ) throws(Failure) {
        switch (member.name, member.value) {
        case ("payload", .string(let text)): payload = Array(text.utf8)
        case ("payload", _): payload = Array(member.source)
        case ("payloadBase64", .string(let text)):
            payload = try Self.bytes(text, member.name, number)
        case ("key", .null): key = nil
        case ("key", .string(let text)): key = Array(text.utf8)
        case ("keyBase64", .string(let text)): key = try Self.bytes(text, member.name, number)
        case ("attributes", .object(let attributes)):
            var seen: Set<String> = []
            for attribute in attributes.members {
                guard seen.insert(attribute.name).inserted else {
                    throw Self.wrong(
                        number, "has attribute \"\(Text.printable(attribute.name))\" twice")
                }
                try set(attribute.name, attribute.value, number)
            }
        case ("attributes", _): throw Self.wrong(number, "\"attributes\" is not an object")
        case ("dedupId", .string(let text)): dedupID = Array(text.utf8)
        case ("payloadBase64", _), ("key", _), ("keyBase64", _), ("dedupId", _):
            throw Self.wrong(number, "\"\(member.name)\" is not a string; put it in quotes")
        default:
            throw Self.wrong(number, "has an unknown field \"\(Text.printable(member.name))\"")
        }
    }

    private mutating func set(_ name: String, _ value: JSONValue, _ number: Int) throws(Failure) {
        guard case .string(let text) = value else {
            throw Self.wrong(
                number,
                "attribute \"\(Text.printable(name))\" is not a string; put it in quotes")
        }
        attributes.removeAll { $0.name == name }
        attributes.append(Attribute(name: name, value: text))
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
