import ChaskiCLI
import ChaskiModel
import Glibc
import Testing

@Suite struct UnitsTests {
    @Test(arguments: [
        (1.005, 2, "1.00"), (0.0, 1, "0.0"), (12.96, 1, "13.0"), (-0.04, 1, "0.0"),
        (-1.5, 1, "-1.5"), (0.05, 3, "0.050"), (7, 0, "7"),
    ])
    func fixed(_ value: Double, _ digits: Int, _ text: String) {
        #expect(Units.fixed(value, digits) == text)
    }

    @Test func grouped() {
        #expect(Units.grouped(UInt64(7)) == "7")
        #expect(Units.grouped(UInt64(1_234_567)) == "1,234,567")
    }

    @Test(
        arguments: [
            ("65536", 65536), ("64KiB", 65536), ("64k", 65536), ("10MB", 10_000_000),
            ("1.5GiB", 1_610_612_736), ("5 GiB", 5_368_709_120), ("7b", 7),
        ] as [(String, UInt64)])
    func sizes(_ text: String, _ bytes: UInt64) {
        #expect(Units.parseBytes(text) == bytes)
    }

    @Test(arguments: ["", "x", "-1", "+1", "1.2.3k", "k", "1e3"])
    func noSizes(_ text: String) {
        #expect(Units.parseBytes(text) == nil)
    }

    @Test(
        arguments: [
            ("250ms", 250_000_000), ("30s", 30_000_000_000), ("2", 2_000_000_000),
            ("1.5s", 1_500_000_000), ("10m", 600_000_000_000), ("1h", 3_600_000_000_000),
        ] as [(String, Int64)])
    func durations(_ text: String, _ nanos: Int64) {
        #expect(Units.parseDuration(nanos: text) == nanos)
    }

    @Test(arguments: ["", "s", "-1s", "1y", "1 1s"])
    func noDurations(_ text: String) {
        #expect(Units.parseDuration(nanos: text) == nil)
    }

    @Test func shown() {
        #expect(Units.bytes(1536) == "1.5 KiB")
        #expect(Units.duration(nanos: 1_250_000) == "1.25 ms")
        #expect(Units.duration(nanos: 30_000_000_000) == "30 s")
        #expect(Units.duration(nanos: 1_200_000_000_000) == "20 min")
        #expect(Units.duration(nanos: 43_200_000_000_000) == "12 h")
        #expect(Units.duration(nanos: 86_400_000_000_000) == "1 d")
        #expect(Units.count(1, "connection") == "1 connection")
        #expect(Units.count(2_000, "connection") == "2,000 connections")
        #expect(Units.timestamp(wallNanos: 0) == "1970-01-01T00:00:00.000Z")
        #expect(
            Units.timestamp(wallNanos: 1_709_210_096_789_000_000) == "2024-02-29T12:34:56.789Z")
        #expect(Units.timestamp(wallNanos: -1_000_000) == "1969-12-31T23:59:59.999Z")
    }
}

@Suite struct JSONValueTests {
    @Test func orderIsKept() {
        let value: JSONValue = .object(["b": 1, "a": .array([true, .null, "x\n\"\u{1}"])])
        #expect(value.text == "{\"b\":1,\"a\":[true,null,\"x\\n\\\"\\u0001\"]}")
    }

    @Test(arguments: [
        "{\"a\":[1,-2,18446744073709551615,1.5],\"b\":{}}", "[]", "\"\\u00e9\\ud83d\\ude00\"",
        " [ 1 , {\"x\" : null} ] ", "-0", "2.5e-3",
    ])
    func readsWhatIsJSON(_ text: String) throws {
        let value = try JSONParser.parse(text)
        #expect(try JSONParser.parse(value.text) == value)
        #expect(try JSONParser.parse(value.prettyText) == value)
    }

    @Test(arguments: [
        "", "{", "[1,]", "{\"a\"}", "{a:1}", "01", "1 2", "\"\\x\"", "\"\\ud800\"", "nul", "+1",
        ".5", "\"", "1e", "--1", "\"\u{1}\"", "[", "{\"a\":",
    ])
    func refusesWhatIsNot(_ text: String) {
        #expect(throws: JSONParser.Problem.self) { try JSONParser.parse(text) }
    }

    @Test func depthIsBounded() {
        let deep = String(repeating: "[", count: 100_000)
        #expect(throws: JSONParser.Problem.self) { try JSONParser.parse(deep) }
    }

    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy"),
    ])
    func base64(_ plain: String, _ coded: String) {
        #expect(Base64.encode(Array(plain.utf8)) == coded)
        #expect(Base64.decode(coded) == Array(plain.utf8))
    }

    @Test(arguments: ["Zg=", "Z===", "Z g=", "Zg==Zg=="])
    func noBase64(_ text: String) {
        #expect(Base64.decode(text) == nil)
    }

    @Test func base64OfAllBytes() {
        let bytes = (0...255).map { UInt8($0) }
        #expect(Base64.decode(Base64.encode(bytes)) == bytes)
    }
}

@Suite struct MessageFormatTests {
    private static func message(
        payload: [UInt8] = Array("hello".utf8), key: [UInt8]? = Array("k1".utf8)
    ) -> ReceivedMessage {
        ReceivedMessage(
            namespace: "ns", topic: "orders", subscription: "work", offset: 42, key: key,
            attributes: [("a", "1")], payload: payload, appendTimeNanos: 1_500_000_000,
            handout: 2, failed: 1)
    }

    private static func text(_ format: String, _ message: ReceivedMessage) throws -> String {
        var out: [UInt8] = []
        try MessageFormat(format).write(message, into: &out)
        return String(decoding: out, as: UTF8.self)
    }

    @Test(arguments: [
        ("raw", "hello\n"), ("%o %k %p\\n", "42 k1 hello\n"), ("%i", "ns/orders@42"),
        ("%S%%\\t%a", "5%\t{\"a\":\"1\"}"), ("%h/%f %s %n", "2/1 work orders"),
        ("%T %t", "1500000000 1970-01-01T00:00:01.500Z"), ("", ""),
    ])
    func formats(_ format: String, _ text: String) throws {
        #expect(try Self.text(format, Self.message()) == text)
    }

    @Test(arguments: ["%z", "%", "\\q", "\\"])
    func unknownLetters(_ format: String) {
        #expect(throws: Failure.self) { try MessageFormat(format) }
    }

    @Test func repeatedAttributesAreOneMember() throws {
        var message = Self.message()
        message.attributes = [("a", "1"), ("b", "2"), ("a", "3")]
        #expect(try Self.text("%a", message) == #"{"a":["1","3"],"b":"2"}"#)
    }

    @Test func jsonOfBytes() throws {
        let line = try Self.text("json", Self.message(payload: [0xFF, 0], key: nil))
        let value = try JSONParser.parse(line)
        #expect(value["payloadBase64"] == "/wA=")
        #expect(value["payload"] == nil)
        #expect(value["key"] == nil)
        #expect(value["id"] == "ns/orders@42")
    }
}

@Suite struct TextTableTests {
    @Test func columnsLineUp() {
        var table = TextTable([("name", .left), ("bytes", .right)])
        table.append(["orders", "7"])
        table.append(["a\u{1B}[31m", "1000000"])
        #expect(
            table.lines == [
                "NAME           BYTES", "orders             7", "a\\u{1b}[31m  1000000",
            ])
        #expect(table.plainLines.first == "orders\t7")
    }

    @Test func wideCharactersTakeTwoColumns() {
        var table = TextTable([("n", .left), ("x", .right)])
        table.append(["日本", "1"])
        table.append(["abcde", "2"])
        #expect(table.lines == ["N      X", "日本   1", "abcde  2"])
    }

    @Test func aSingleFieldIsASentence() {
        var fields = FieldList()
        fields.append("published", "1 at offset 5")
        #expect(fields.lines == ["published 1 at offset 5"])
    }

    @Test func plainNumbersAreBare() {
        #expect(OutputKind.plain.count(1_234) == "1234")
        #expect(OutputKind.plain.bytes(2_048) == "2048")
        #expect(OutputKind.table.count(1_234) == "1,234")
    }
}

@Suite struct SizeDistributionTests {
    @Test func bucketsHoldTheirRange() {
        let sizes = SizeDistribution()
        for size in [1, 1, 2, 3, 4, 5, 1000] { sizes.record(size) }
        let summary = sizes.summary()
        #expect(summary.batches == 7)
        #expect(summary.largest == 1000)
        #expect(summary.rows.map(\.count) == [2, 1, 2, 1, 1])
        #expect(summary.rows.map(\.to) == [1, 2, 4, 8, 1024])
    }

    @Test func latencies() {
        let recorder = LatencyRecorder()
        for value in 1...1000 { recorder.record(nanos: Int64(value) * 1_000) }
        let summary = recorder.summary()
        #expect(summary.count == 1000)
        #expect(abs(summary.p50 - 500_000) < 1_000)
        #expect(summary.maximum >= 1_000_000)
    }
}

@Suite struct PacerTests {
    @Test func messagesAreDueAtTheirRate() {
        let pacer = Pacer(startNanos: 1_000, rate: 1_000)
        #expect(pacer.due(0) == 1_000)
        #expect(pacer.due(5) == 5_001_000)
        #expect(pacer.dueCount(at: 0) == 0)
        #expect(pacer.dueCount(at: 1_000) == 1)
        #expect(pacer.dueCount(at: 5_001_000) == 6)
        #expect(pacer.due(.max) == .max)
    }
}

@Suite struct HandlerProcessTests {
    private static let message = ReceivedMessage(
        namespace: "ns", topic: "t", subscription: "s", offset: 7, key: Array("k".utf8),
        attributes: [("content-type", "a b"), ("nul", "a\0b")], payload: Array("hello".utf8),
        appendTimeNanos: 0, handout: 2, failed: 1)

    @Test func environmentSaysEverything() {
        let variables = HandlerProcess.environment(Self.message)
        #expect(variables.contains("CHASKI_ID=ns/t@7"))
        #expect(variables.contains("CHASKI_KEY=k"))
        #expect(variables.contains("CHASKI_HANDOUT=2"))
        #expect(variables.contains("CHASKI_ATTRIBUTE_CONTENT_TYPE=a b"))
        #expect(!variables.contains { $0.hasPrefix("CHASKI_ATTRIBUTE_NUL") })
    }

    @Test(arguments: [
        (
            "test \"$(cat)\" = hello && test \"$CHASKI_FAILED\" = 1",
            HandlerProcess.Outcome.exited(0)
        ),
        ("exit 3", .exited(3)), ("kill -9 $$", .signalled(9)), ("exec true", .exited(0)),
    ])
    func outcomes(_ command: String, _ outcome: HandlerProcess.Outcome) async {
        #expect(await HandlerProcess(command: command).run(Self.message) == outcome)
        #expect((outcome.problem == nil) == (outcome == .exited(0)))
    }

    @Test func aHandlerInheritsFilesAndNoSocket() async {
        let type = Int32(SOCK_STREAM.rawValue)
        let ends = [open("/dev/null", O_RDONLY), socket(AF_UNIX, type, 0)]
        defer { for end in ends { close(end) } }
        let command = "test -e /proc/self/fd/\(ends[0]) && test ! -e /proc/self/fd/\(ends[1])"
        #expect(ends.allSatisfy { $0 > 2 })
        #expect(await HandlerProcess(command: command).run(Self.message) == .exited(0))
    }

    @Test func aHandlerThatReadsNothingIsFine() async {
        Terminal.ignoreBrokenPipes()
        var large = Self.message
        large.payload = [UInt8](repeating: 1, count: 1 << 20)
        #expect(await HandlerProcess(command: "exit 0").run(large) == .exited(0))
    }
}
