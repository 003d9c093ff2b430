import ChaskiMessages
import ChaskiProtobuf
import Testing

/// What protobuf_c_message_unpack gets wrong.
@Suite struct WireUnpackerTests {
    @Test func piecesOfASubmessageMerge() throws {
        let one = Wire.bytes(2, Wire.number(1, 5) + Wire.text(2, "busy") + Wire.number(50, 1))
        let two = Wire.bytes(2, Wire.text(3, "later") + Wire.number(51, 2))
        let away = try Chaski_V1_GoAway(serializedBytes: one + Wire.number(1, 3) + two)
        #expect(away.lastStreamID == 3)
        #expect(away.status.code == 5)
        #expect(away.status.reason == "busy" && away.status.message == "later")
        #expect(away.status.unknownFields.bytes == Wire.number(50, 1) + Wire.number(51, 2))
    }

    @Test func piecesMergeAtEveryLevel() throws {
        // Subscription.settings.retry in pieces of pieces.
        let first = Wire.bytes(4, Wire.bytes(2, Wire.number(1, 7)))
        let second = Wire.bytes(4, Wire.bytes(2, Wire.number(2, 8)) + Wire.number(3, 9))
        let item = Wire.text(1, "s") + first + second
        let list = try Chaski_V1_ListSubscriptionsResponse(serializedBytes: Wire.bytes(1, item))
        let settings = list.subscriptions.first?.settings
        #expect(settings?.retry.minimumBackoffNanos == 7)
        #expect(settings?.retry.maximumBackoffNanos == 8)
        #expect(settings?.leaseNanos == 9)
    }

    @Test func oneofMessageTwiceMerges() throws {
        let one = Wire.bytes(2, Wire.number(1, 1))
        let two = Wire.bytes(2, Wire.text(2, "orders"))
        let request = try Chaski_V1_PublishRequest(serializedBytes: one + two)
        #expect(request.bind.alias == 1 && request.bind.topic == "orders")
    }

    @Test func lastMemberOfAOneofWins() throws {
        let bind = Wire.bytes(2, Wire.number(1, 1))
        let batch = Wire.bytes(3, Wire.number(1, 7))
        let topic = Wire.bytes(2, Wire.text(2, "orders"))
        let request = try Chaski_V1_PublishRequest(serializedBytes: bind + batch + topic)
        #expect(request.kind == .bind(.with { $0.topic = "orders" }))
        let other = try Chaski_V1_PublishRequest(serializedBytes: bind + topic + batch)
        #expect(other.kind == .batch(.with { $0.requestID = 7 }))
    }

    @Test func scalarAfterMessageInAOneof() throws {
        let start = Wire.number(3, 5) + Wire.number(1, 1)
        #expect(
            try Chaski_V1_StartPosition(serializedBytes: start).position == .earliest(true))
    }

    @Test func foreignWireTypesAreUnknownFields() throws {
        let foreign =
            Wire.text(1, "not a number") + Wire.tag(2, 5) + [1, 2, 3, 4] + Wire.number(3, 9)
        let status = try Chaski_V1_Status(serializedBytes: Wire.number(4, 6) + foreign)
        #expect(status.retryAfterMillis == 6 && status.code == 0 && status.reason.isEmpty)
        #expect(status.unknownFields.bytes == foreign)
        #expect(try status.serializedBytes() == Wire.number(4, 6) + foreign)
    }

    @Test func groupForAMessageFieldIsUnknown() throws {
        let bytes = Wire.group(2, Wire.number(1, 5))
        let away = try Chaski_V1_GoAway(serializedBytes: bytes)
        #expect(!away.hasStatus)
        #expect(try away.serializedBytes() == bytes)
    }

    @Test func unknownGroupsAreKept() throws {
        let group = Wire.group(77, Wire.number(1, 5) + Wire.group(3, Wire.text(9, "x")))
        let inner = Wire.number(1, 4) + group
        let bytes = Wire.bytes(2, inner) + group + Wire.number(90, 1)
        let away = try Chaski_V1_GoAway(serializedBytes: bytes)
        #expect(away.status.code == 4)
        #expect(away.status.unknownFields.bytes == group)
        #expect(away.unknownFields.bytes == group + Wire.number(90, 1))
        #expect(try away.serializedBytes() == bytes)
    }

    @Test func groupsMustEndAsTheyBegin() {
        let wrong = Wire.tag(77, 3) + Wire.tag(78, 4)
        #expect(throws: DecodingError.self) { try Chaski_V1_Status(serializedBytes: wrong) }
        #expect(throws: DecodingError.self) {
            try Chaski_V1_Status(serializedBytes: Wire.tag(77, 3))
        }
        #expect(throws: DecodingError.self) {
            try Chaski_V1_Status(serializedBytes: Wire.tag(77, 4))
        }
    }

    @Test func unknownFieldsSurviveAnOlderReader() throws {
        let newer =
            Wire.number(1, 7) + Wire.text(100, "new text") + Wire.tag(101, 1)
            + [1, 2, 3, 4, 5, 6, 7, 8] + Wire.tag(102, 5) + [9, 8, 7, 6]
        var read = try Chaski_V1_Status(serializedBytes: newer)
        read.reason = "changed"
        let written = try read.serializedBytes()
        let expected = Wire.number(1, 7) + Wire.text(2, "changed") + newer.dropFirst(2)
        #expect(written == expected)
        read.unknownFields.removeAll()
        #expect(try read.serializedBytes() == Wire.number(1, 7) + Wire.text(2, "changed"))
    }

    /// A reader without the extensions reads, changes fields beside them and writes: they stay byte
    /// for byte, also where they are written in a way that we would not write.
    @Test func extensionsSurviveAReaderWithoutThem() throws {
        let longVarint: [UInt8] = [0x81, 0x80, 0x00]
        let extensions =
            Wire.bytes(50_001, Wire.text(1, "x") + Wire.number(2, 300))
            + Wire.group(50_002, Wire.bytes(7, Wire.nested(1, depth: 3)))
            + Wire.tag(50_000, 5) + [1, 2, 3, 4] + Wire.tag(50_003, 0) + longVarint
        func file(_ name: String, _ package: String) -> [UInt8] {
            Wire.text(1, name) + Wire.bytes(4, Wire.text(1, "M") + extensions)
                + Wire.bytes(8, Wire.text(1, package) + extensions) + extensions
        }
        var read = try Google_Protobuf_FileDescriptorProto(
            serializedBytes: file("old.proto", "com.old"))
        read.name = "new.proto"
        read.options.javaPackage = "com.new"
        #expect(try read.serializedBytes() == file("new.proto", "com.new"))
        read.options.unknownFields.removeAll()
        #expect(read.messageType[0].unknownFields.bytes == extensions)
        #expect(read.unknownFields.bytes == extensions)
    }

    @Test func packedAndUnpackedMix() throws {
        typealias Annotation = Google_Protobuf_GeneratedCodeInfo.Annotation
        let bytes = Wire.number(1, 1) + Wire.bytes(1, [2, 0x83, 0x01]) + Wire.number(1, 4)
        let annotation = try Annotation(serializedBytes: bytes)
        #expect(annotation.path == [1, 2, 131, 4])
        #expect(try annotation.serializedBytes() == Wire.bytes(1, [1, 2, 0x83, 0x01, 4]))
    }

    @Test func brokenPackedBlocks() {
        typealias Annotation = Google_Protobuf_GeneratedCodeInfo.Annotation
        let open = Wire.bytes(1, [1, 0x80])
        #expect(throws: DecodingError.self) { try Annotation(serializedBytes: open) }
        let long = Wire.bytes(1, [UInt8](repeating: 0x80, count: 11) + [0])
        #expect(throws: DecodingError.self) { try Annotation(serializedBytes: long) }
    }
}
