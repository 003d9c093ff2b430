package import ChaskiModel

/// What `chaski subscribe` knows of one delivery when it prints it.
package struct ReceivedMessage: Sendable {
    package var namespace: String
    package var topic: String
    package var subscription: String
    package var offset: UInt64
    package var key: [UInt8]?
    package var attributes: [(name: String, value: String)]
    package var payload: [UInt8]
    package var appendTimeNanos: Int64
    package var handout: UInt32
    package var failed: UInt32

    package init(
        namespace: String, topic: String, subscription: String, offset: UInt64, key: [UInt8]?,
        attributes: [(name: String, value: String)], payload: [UInt8], appendTimeNanos: Int64,
        handout: UInt32, failed: UInt32
    ) {
        self.namespace = namespace
        self.topic = topic
        self.subscription = subscription
        self.offset = offset
        self.key = key
        self.attributes = attributes
        self.payload = payload
        self.appendTimeNanos = appendTimeNanos
        self.handout = handout
        self.failed = failed
    }

    /// The id for life: `namespace/topic@offset`.
    package var id: String { "\(namespace)/\(topic)@\(offset)" }

    /// The line of `--format json`. Bytes that are not UTF-8 stand as Base64 under
    /// `keyBase64` and `payloadBase64`.
    package var json: JSONValue {
        var object: JSONObject = [
            "id": .string(id), "topic": .string(topic), "offset": .unsigned(offset),
        ]
        if let key { Self.append("key", key, to: &object) }
        if !attributes.isEmpty { object.append("attributes", attributesJSON) }
        object.append("appendTime", .string(Units.timestamp(wallNanos: appendTimeNanos)))
        object.append("appendTimeNanos", .integer(appendTimeNanos))
        object.append("handout", .unsigned(UInt64(handout)))
        object.append("failed", .unsigned(UInt64(failed)))
        Self.append("payload", payload, to: &object)
        return .object(object)
    }

    var attributesJSON: JSONValue {
        var object = JSONObject()
        for (index, attribute) in attributes.enumerated() {
            let values = attributes.filter { $0.name == attribute.name }.map(\.value)
            guard values.count > 1 else {
                object.append(attribute.name, .string(attribute.value))
                continue
            }
            // A name that a publisher gave more than once is one member with all its values.
            if attributes.firstIndex(where: { $0.name == attribute.name }) == index {
                object.append(attribute.name, .array(values.map { .string($0) }))
            }
        }
        return .object(object)
    }

    private static func append(_ name: String, _ bytes: [UInt8], to object: inout JSONObject) {
        if let text = Text.decoded(bytes) {
            object.append(name, .string(text))
        } else {
            object.append(name + "Base64", .string(Base64.encode(bytes)))
        }
    }
}

/// How `chaski subscribe` prints a message: the payload as it is, JSON, or a format string.
package struct MessageFormat: Sendable {
    enum Part: Hashable, Sendable {
        case literal([UInt8])
        case offset, key, payload, size, attributes, id, topic, subscription
        case time, timeNanos, handout, failed
        case json
    }

    let parts: [Part]

    /// The help of `--format`.
    package static let help = """
        raw (payload and a newline), json, or a format string: %o offset, %k key, %p payload, \
        %S payload size, %a attributes as JSON, %i id, %t append time, %T the same in \
        nanoseconds, %h hand-out, %f failures, %s subscription, %n topic, %j the whole as JSON, \
        %% percent; \\n \\t \\r \\0 \\\\ as in C
        """

    /// - Throws: `invalid-option` on an unknown letter after `%` or `\`.
    package init(_ text: String) throws(Failure) {
        switch text {
        case "raw": parts = [.payload, .literal([0x0A])]
        case "json": parts = [.json, .literal([0x0A])]
        default: parts = try Self.parse(text)
        }
    }

    private static func parse(_ text: String) throws(Failure) -> [Part] {
        var parts: [Part] = []
        var literal: [UInt8] = []
        var characters = text.makeIterator()
        while let character = characters.next() {
            switch character {
            case "%":
                guard let letter = characters.next() else { throw unknown("%") }
                if letter == "%" {
                    literal.append(UInt8(ascii: "%"))
                    continue
                }
                guard let part = part(letter) else { throw unknown("%\(letter)") }
                if !literal.isEmpty { parts.append(.literal(literal)) }
                literal = []
                parts.append(part)
            case "\\":
                let letter = characters.next()
                guard let letter, let byte = escape(letter) else {
                    throw unknown("\\" + (letter.map { String($0) } ?? ""))
                }
                literal.append(byte)
            default: literal.append(contentsOf: String(character).utf8)
            }
        }
        if !literal.isEmpty { parts.append(.literal(literal)) }
        return parts
    }

    private static func part(_ letter: Character) -> Part? {
        switch letter {
        case "o": .offset
        case "k": .key
        case "p": .payload
        case "S": .size
        case "a": .attributes
        case "i": .id
        case "n": .topic
        case "s": .subscription
        case "t": .time
        case "T": .timeNanos
        case "h": .handout
        case "f": .failed
        case "j": .json
        default: nil
        }
    }

    private static func escape(_ letter: Character) -> UInt8? {
        switch letter {
        case "n": 0x0A
        case "t": 0x09
        case "r": 0x0D
        case "0": 0
        case "\\": UInt8(ascii: "\\")
        default: nil
        }
    }

    private static func unknown(_ what: String) -> Failure {
        Failure(
            .invalidArgument, .invalidOption,
            "--format has an unknown \"\(Text.printable(what))\"; see chaski subscribe --help")
    }

    /// Appends the bytes of one message.
    package func write(_ message: ReceivedMessage, into out: inout [UInt8]) {
        for part in parts {
            switch part {
            case .literal(let bytes): out.append(contentsOf: bytes)
            case .offset: out.append(contentsOf: String(message.offset).utf8)
            case .key: out.append(contentsOf: message.key ?? [])
            case .payload: out.append(contentsOf: message.payload)
            case .size: out.append(contentsOf: String(message.payload.count).utf8)
            case .attributes: out.append(contentsOf: message.attributesJSON.text.utf8)
            case .id: out.append(contentsOf: message.id.utf8)
            case .topic: out.append(contentsOf: message.topic.utf8)
            case .subscription: out.append(contentsOf: message.subscription.utf8)
            case .time:
                out.append(
                    contentsOf: Units.timestamp(wallNanos: message.appendTimeNanos).utf8)
            case .timeNanos: out.append(contentsOf: String(message.appendTimeNanos).utf8)
            case .handout: out.append(contentsOf: String(message.handout).utf8)
            case .failed: out.append(contentsOf: String(message.failed).utf8)
            case .json: out.append(contentsOf: message.json.text.utf8)
            }
        }
    }
}
