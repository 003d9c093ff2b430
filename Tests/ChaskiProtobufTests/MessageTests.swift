import ChaskiMessages
import ChaskiProtobuf
import Testing

@Suite struct MessageTests {
    private func roundTrip<M: Message>(_ message: M) throws -> M {
        try M(serializedBytes: try message.serializedBytes())
    }

    @Test func emptyMessageIsNoBytes() throws {
        #expect(try Chaski_V1_Heartbeat().serializedBytes().isEmpty)
        #expect(try Chaski_V1_Open(serializedBytes: [UInt8]()) == Chaski_V1_Open())
    }

    @Test func scalarsAndMapsSurvive() throws {
        let open = Chaski_V1_Open.with {
            $0.method = "chaski.v1.Topics/Create"
            $0.namespace = "orders"
            $0.timeoutNanos = .max
            $0.metadata = ["a": "1", "": "empty key", "traceparent": ""]
        }
        #expect(try roundTrip(open) == open)
    }

    @Test func bytesAreWhatTheSpecificationSays() throws {
        let status = Chaski_V1_Status.with {
            $0.code = 300
            $0.reason = "né"
        }
        let expected = Wire.number(1, 300) + Wire.text(2, "né")
        #expect(try status.serializedBytes() == expected)
    }

    @Test func textKeepsNul() throws {
        let status = Chaski_V1_Status.with { $0.message = "a\0b\0" }
        #expect(try roundTrip(status).message == "a\0b\0")
        #expect(try status.serializedBytes() == Wire.text(3, "a\0b\0"))
    }

    @Test func presenceOfOptionalFields() throws {
        var settings = Chaski_V1_TopicSettings()
        #expect(!settings.hasMaximumBytes)
        settings.maximumBytes = 0
        #expect(settings.hasMaximumBytes)
        let back = try roundTrip(settings)
        #expect(back.hasMaximumBytes && back.maximumBytes == 0)
        settings.clearMaximumBytes()
        #expect(settings == Chaski_V1_TopicSettings())
    }

    @Test func presenceOfMessages() throws {
        var away = Chaski_V1_GoAway()
        #expect(away.status.code == 0 && !away.hasStatus)
        away.status = .init()
        #expect(try roundTrip(away).hasStatus)
        away.status.code = 14
        #expect(try roundTrip(away).status.code == 14)
    }

    @Test func oneofHoldsOneMember() throws {
        var request = Chaski_V1_ConsumeRequest()
        #expect(request.kind == nil)
        request.open.sessionID = [1, 2, 3]
        request.settle = .with {
            $0.requestID = 9
            $0.verb = .retry
            $0.delayNanos = 0
        }
        guard case .settle(let settle)? = try roundTrip(request).kind else {
            Issue.record("another member")
            return
        }
        #expect(settle.verb == .retry && settle.hasDelayNanos && settle.requestID == 9)
        #expect(request.open == Chaski_V1_OpenSession())
    }

    @Test func oneofKeepsZeroAndEmpty() throws {
        let start = Chaski_V1_StartPosition.with { $0.offset = 0 }
        #expect(try roundTrip(start).position == .offset(0))
        let beat = Chaski_V1_ConsumeRequest.with { $0.heartbeat = .init() }
        #expect(try roundTrip(beat).kind == .heartbeat(.init()))
    }

    @Test func openEnumKeepsUnknownNumbers() throws {
        let settle = try Chaski_V1_Settle(serializedBytes: Wire.number(3, 77))
        #expect(settle.verb == .UNRECOGNIZED(77))
        #expect(try settle.serializedBytes() == Wire.number(3, 77))
        #expect(Chaski_V1_SettleVerb(rawValue: 2) == .retry)
        #expect(Chaski_V1_SettleVerb.extend.rawValue == 5)
    }

    @Test func closedEnumKeepsUnknownNumbersApart() throws {
        let bytes = Wire.number(5, 99) + Wire.number(4, 3)
        let field = try Google_Protobuf_FieldDescriptorProto(serializedBytes: bytes)
        #expect(!field.hasType && field.label == .repeated)
        #expect(field.unknownFields.bytes == Wire.number(5, 99))
        #expect(try field.serializedBytes() == Wire.number(4, 3) + Wire.number(5, 99))
    }

    @Test func repeatedMessagesAndText() throws {
        let list = Chaski_V1_ListTopicsResponse.with { list in
            for index in 0..<50 {
                list.topics.append(
                    .with {
                        $0.name = "topic-\(index)"
                        $0.subscriptions = ["a", "", "ü"]
                        $0.createdUnixNanos = -Int64(index)
                    })
            }
        }
        #expect(try roundTrip(list) == list)
    }

    @Test func requiredFieldsAreCheckedBothWays() throws {
        typealias Part = Google_Protobuf_UninterpretedOption.NamePart
        #expect(throws: DecodingError.self) { try Part(serializedBytes: Wire.text(1, "n")) }
        let missing = #expect(throws: EncodingError.self) {
            try Part.with { $0.namePart = "n" }.serializedBytes()
        }
        #expect(missing?.code == .missingRequired)
        #expect(missing?.field == "google.protobuf.UninterpretedOption.NamePart.is_extension")
        let whole = Part.with {
            $0.namePart = "n"
            $0.isExtension = false
        }
        #expect(try roundTrip(whole) == whole)
    }

    @Test func defaultsOfProto2() throws {
        let options = Google_Protobuf_FileOptions()
        #expect(options.optimizeFor == .speed && !options.hasOptimizeFor)
        #expect(options.ccEnableArenas)
        #expect(!Google_Protobuf_FieldOptions().lazy)
    }

    @Test func spanAndSliceDecodeAlike() throws {
        let bytes = try Chaski_V1_Status.with { $0.reason = "busy" }.serializedBytes()
        let framed = [0xFF] + bytes + [0xFF]
        let slice = try Chaski_V1_Status(serializedBytes: framed[1..<(framed.count - 1)])
        #expect(slice.reason == "busy")
        #expect(try Chaski_V1_Status(serializedSpan: bytes.span.bytes) == slice)
    }

    @Test func messagesAreAppendedToASpan() throws {
        let status = Chaski_V1_Status.with { $0.reason = "busy" }
        let bytes = try status.serializedBytes()
        // Twice, and then there is one byte too little.
        let size = bytes.count * 3 - 1
        let written = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            let raw = UnsafeMutableRawBufferPointer(buffer)
            var output = OutputRawSpan(buffer: raw, initializedCount: 0)
            for times in 1...3 {
                var failure: EncodingError?
                do throws(EncodingError) {
                    try status.serialize(into: &output)
                } catch {
                    failure = error
                }
                #expect(failure?.code == (times == 3 ? .noRoom : nil))
                #expect(output.byteCount == bytes.count * min(times, 2))
            }
            count = output.finalize(for: raw)
        }
        #expect(written == bytes + bytes)
        var none = OutputRawSpan()
        try Chaski_V1_Status().serialize(into: &none)
        #expect(throws: EncodingError(.noRoom, field: "chaski.v1.Status")) {
            var none = OutputRawSpan()
            try status.serialize(into: &none)
        }
    }

    @Test func deterministicMapsAreSorted() throws {
        let open = Chaski_V1_Open.with { open in
            for index in 0..<40 { open.metadata["key-\(index)"] = "\(index)" }
        }
        let sorted = open.metadata.keys.sorted()
        var expected: [UInt8] = []
        for key in sorted {
            let value = open.metadata[key] ?? ""
            expected += Wire.bytes(4, Wire.text(1, key) + Wire.text(2, value))
        }
        let options = EncodingOptions(deterministic: true)
        #expect(try open.serializedBytes(options: options) == expected)
    }

    @Test func mapsTakeTheLastOfEqualKeys() throws {
        let first = Wire.bytes(4, Wire.text(1, "k") + Wire.text(2, "old"))
        let second = Wire.bytes(4, Wire.text(2, "new") + Wire.text(1, "k"))
        let open = try Chaski_V1_Open(serializedBytes: first + second + Wire.bytes(4, []))
        #expect(open.metadata == ["k": "new", "": ""])
    }

    @Test func copiesOfBoxedMessagesAreApart() throws {
        var file = Google_Protobuf_FileDescriptorProto.with { $0.options.javaPackage = "one" }
        let copy = file
        file.options.javaPackage = "two"
        #expect(copy.options.javaPackage == "one")
        #expect(try roundTrip(file).options.javaPackage == "two")
    }

    @Test func debugTextNamesFields() {
        let request = Chaski_V1_ConsumeRequest.with {
            $0.settle = .with {
                $0.requestID = 9
                $0.verb = .retry
                $0.reason = "a \"b\""
            }
        }
        #expect(
            request.debugDescription == """
                chaski.v1.ConsumeRequest:
                settle {
                  request_id: 9
                  verb: 2
                  reason: "a \\"b\\""
                }

                """)
        let open = Chaski_V1_Open.with { $0.metadata = ["k": "v"] }
        #expect(
            "\(open)" == """
                chaski.v1.Open:
                metadata {
                  key: "k"
                  value: "v"
                }

                """)
        let topic = Chaski_V1_Topic.with { $0.createdUnixNanos = -5 }
        #expect(topic.debugDescription == "chaski.v1.Topic:\ncreated_unix_nanos: -5\n")
        #expect(
            Chaski_V1_OpenSession.with { $0.sessionID = [0, 65, 255] }.debugDescription
                == "chaski.v1.OpenSession:\nsession_id: \"\\000A\\377\"\n")
    }

    @Test func methodsHavePathsAndKinds() {
        #expect(Chaski_V1_Topics.create.path == "chaski.v1.Topics/Create")
        #expect(!Chaski_V1_Topics.create.clientStreams)
        #expect(Chaski_V1_Publisher.publish.clientStreams)
        #expect(Chaski_V1_Publisher.publish.serverStreams)
    }

    @Test func largeMessagesAreWhole() throws {
        // Past the scratch space of the encoder and the first blocks of the arena.
        let response = Chaski_V1_ListDeadLettersResponse.with { response in
            for index in 0..<3_000 {
                response.deadLetters.append(
                    .with {
                        $0.offset = UInt64(index)
                        $0.reason = String(repeating: "r", count: index % 200)
                    })
            }
        }
        #expect(try roundTrip(response) == response)
        for count in [8_000, 8_192, 9_000, 100_000] {
            let status = Chaski_V1_Status.with { $0.message = String(repeating: "m", count: count) }
            #expect(try roundTrip(status) == status)
        }
    }

    @Test func deepValuesAreRefused() throws {
        var message = Google_Protobuf_DescriptorProto()
        for _ in 0..<100 {
            message = .with { $0.nestedType = [message] }
        }
        #expect(try roundTrip(message) == message)
        let deeper = Google_Protobuf_DescriptorProto.with { $0.nestedType = [message] }
        let failure = #expect(throws: EncodingError.self) { try deeper.serializedBytes() }
        #expect(failure?.code == .tooDeep)
        #expect(try !deeper.serializedBytes(options: .init(depthLimit: 101)).isEmpty)
    }
}
