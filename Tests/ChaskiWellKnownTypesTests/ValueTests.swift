import ChaskiMessages
import ChaskiProtobuf
import ChaskiWellKnownTypes
import Testing

@Suite struct AnyTests {
    private let status = Chaski_V1_Status.with { $0.reason = "why" }

    @Test func packsAndUnpacks() throws {
        let any = try Google_Protobuf_Any(message: status)
        #expect(any.typeURL == "type.googleapis.com/chaski.v1.Status")
        #expect(any.messageName == "chaski.v1.Status")
        #expect(any.isA(Chaski_V1_Status.self) && !any.isA(Chaski_V1_GoAway.self))
        let sent = try Google_Protobuf_Any(serializedBytes: try any.serializedBytes())
        #expect(try Chaski_V1_Status(unpackingAny: sent) == status)
        let other = try Google_Protobuf_Any(message: status, typePrefix: "a/b")
        #expect(try other.unpack(Chaski_V1_Status.self) == status)
    }

    @Test func refusesOtherTypes() throws {
        let any = try Google_Protobuf_Any(message: status)
        #expect(
            throws: AnyError.otherType(
                typeURL: "type.googleapis.com/chaski.v1.Status", expected: "chaski.v1.GoAway")
        ) { try Chaski_V1_GoAway(unpackingAny: any) }
        for url in ["", "chaski.v1.Status", "type.googleapis.com/", "x/chaski.v1.Status/"] {
            let wrong = Google_Protobuf_Any(typeURL: url, value: any.value)
            #expect(throws: AnyError.self) { try wrong.unpack(Chaski_V1_Status.self) }
        }
    }

    @Test func saysWhatIsWrongWithTheBytes() {
        let any = Google_Protobuf_Any(typeURL: "/chaski.v1.Status", value: [0x12, 5])
        let expected = DecodingError(.truncated, field: "chaski.v1.Status", byteOffset: 1)
        #expect(throws: AnyError.undecodable(expected)) { try any.unpack(Chaski_V1_Status.self) }
    }
}

@Suite struct StructTests {
    @Test func literals() throws {
        let object: Google_Protobuf_Struct = [
            "name": "x", "count": 3, "ratio": 0.5, "on": true, "none": nil,
            "list": [1, "two", [:]], "inner": ["deep": ["er": 1]],
        ]
        #expect(object["name"] == Google_Protobuf_Value(stringValue: "x"))
        #expect(object["count"]?.numberValue == 3 && object["on"]?.boolValue == true)
        #expect(object["none"]?.isNull == true && object["missing"] == nil)
        #expect(object["list"]?.listValue.values.count == 3)
        #expect(object["inner"]?["deep"]?["er"] == 1)
        #expect(object["name"]?["deep"] == nil)
        let bytes = try object.serializedBytes(options: .init(deterministic: true))
        #expect(try Google_Protobuf_Struct(serializedBytes: bytes) == object)
    }

    @Test func subscriptsWrite() {
        var object = Google_Protobuf_Struct()
        object["a"] = [1, nil]
        object["b"] = false
        object["b"] = nil as Google_Protobuf_Value?
        #expect(object == ["a": [1, nil]])
        #expect(!Google_Protobuf_Value().isNull)
    }

    @Test func deepValuesAreBounded() throws {
        var value: Google_Protobuf_Value = 1
        for _ in 0..<200 { value = [value] }
        #expect(throws: EncodingError.self) { try value.serializedBytes() }
    }
}

@Suite struct WrapperTests {
    @Test func literalsAndValues() throws {
        let text: Google_Protobuf_StringValue = "t"
        let number: Google_Protobuf_Int64Value = -7
        let ratio: Google_Protobuf_DoubleValue = 0.25
        let truth: Google_Protobuf_BoolValue = true
        let bytes: Google_Protobuf_BytesValue = [1, 2]
        #expect(text.value == "t" && number.value == -7 && ratio.value == 0.25)
        #expect(truth.value && bytes.value == [1, 2])
        #expect(Google_Protobuf_UInt32Value(9) == 9)
        #expect(Google_Protobuf_FloatValue(1.5).value == 1.5)
        #expect(Google_Protobuf_UInt64Value(.max).value == .max)
        #expect(Google_Protobuf_Int32Value(.min).value == .min)
        let back = try Google_Protobuf_Int64Value(serializedBytes: try number.serializedBytes())
        #expect(back == number)
        #expect(try Google_Protobuf_Empty().serializedBytes().isEmpty)
    }
}

@Suite struct FieldMaskTests {
    private typealias Subscription = Chaski_V1_Subscription
    private typealias Mask = Google_Protobuf_FieldMask

    @Test func pathsAreChecked() {
        let good: Mask = ["name", "settings", "settings.retry.minimum_backoff_nanos"]
        #expect(good.firstInvalidPath(for: Subscription.self) == nil)
        for bad in [
            "", "nothing", "name.x", "settings.", ".settings", "settings.x", "settings.retry.x.y",
        ] {
            let mask: Mask = ["name", bad]
            #expect(mask.firstInvalidPath(for: Subscription.self) == bad)
        }
        // A map and a repeated field end a path.
        #expect(Mask(protoPaths: "metadata.key").firstInvalidPath(for: Chaski_V1_Open.self) != nil)
        let all = Mask(allFieldsOf: Chaski_V1_Status.self)
        #expect(
            all.paths.first == "code" && all.firstInvalidPath(for: Chaski_V1_Status.self) == nil)
    }

    @Test func sets() {
        let mask: Mask = ["b.c", "a", "b", "a.x", "ab", "a"]
        #expect(mask.canonical.paths == ["a", "ab", "b"])
        #expect(mask.contains("b.c.d") && mask.contains("a") && !mask.contains("abc"))
        #expect(Mask(paths: ["a.b"]).union(["a"]).paths == ["a"])
        #expect(Mask(paths: ["a", "c.d"]).intersect(["a.b", "c", "e"]).paths == ["a.b", "c.d"])
    }

    @Test func trims() throws {
        var subscription = sample("s", lease: 5, backoff: 7)
        try subscription.trim(keeping: ["settings.retry"])
        #expect(subscription.name.isEmpty && !subscription.settings.hasLeaseNanos)
        #expect(subscription.settings.retry.minimumBackoffNanos == 7)
        try subscription.trim(keeping: [])
        #expect(subscription == Subscription())
    }

    @Test func merges() throws {
        var target = sample("old", lease: 5, backoff: 7)
        let source = sample("new", lease: 6, backoff: 8)
        try target.merge(from: source, fieldMask: ["settings.retry.minimum_backoff_nanos"])
        #expect(target == sample("old", lease: 5, backoff: 8))
        try target.merge(from: source, fieldMask: ["name", "settings"])
        #expect(target == source)
        try target.merge(from: Subscription(), fieldMask: ["settings.retry"])
        #expect(!target.settings.hasRetry && target.settings.leaseNanos == 6)
        try target.merge(from: Subscription(), fieldMask: ["settings"])
        #expect(!target.hasSettings && target.name == "new")
        let untouched = target
        try target.merge(from: source, fieldMask: [])
        #expect(target == untouched)
    }

    @Test func mergeReplacesRepeatedFieldsAndKeepsUnknownOnes() throws {
        var topic = try Chaski_V1_Topic(serializedBytes: [0xF8, 0x7F, 1])
        topic.subscriptions = ["a", "b"]
        let source = Chaski_V1_Topic.with { $0.subscriptions = ["c"] }
        try topic.merge(from: source, fieldMask: ["subscriptions"])
        #expect(topic.subscriptions == ["c"])
        #expect(topic.unknownFields.bytes == [0xF8, 0x7F, 1])
    }

    @Test func wrongPathsAreRefused() {
        var topic = Chaski_V1_Topic()
        #expect(
            throws: FieldMaskError.noSuchField(path: "nope", message: "chaski.v1.Topic")
        ) { try topic.trim(keeping: ["name", "nope"]) }
    }

    private func sample(_ name: String, lease: UInt64, backoff: UInt64) -> Subscription {
        .with {
            $0.name = name
            $0.settings.leaseNanos = .init(lease)
            $0.settings.retry.minimumBackoffNanos = .init(backoff)
        }
    }
}
