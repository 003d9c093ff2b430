import ChaskiCLI
import ChaskiModel
import Testing

@Suite struct HostPortTests {
    @Test(arguments: [
        ("127.0.0.1:7420", "127.0.0.1", 7420), ("broker", "broker", 7420), (":9", "127.0.0.1", 9),
        ("[::1]:80", "::1", 80), ("[::1]", "::1", 7420), ("0.0.0.0:0", "0.0.0.0", 0),
    ])
    func readable(_ text: String, _ host: String, _ port: Int) {
        #expect(HostPort(text) == HostPort(host: host, port: port))
    }

    @Test(arguments: ["", "a:b", "a:65536", "a:-1", "::1", "[::1", "[::1]x", "a:+1"])
    func unreadable(_ text: String) {
        #expect(HostPort(text) == nil)
    }
}

@Suite struct EnvironmentTests {
    private let environment = Environment([
        "CHASKI_SERVER": "a:1", "CHASKI_X": "no", "CHASKI_E": "",
    ])

    @Test func flagBeforeEnvironmentBeforeDefault() {
        #expect(environment.resolve("f", "SERVER", default: "d") == "f")
        #expect(environment.resolve(nil, "SERVER", default: "d") == "a:1")
        #expect(environment.resolve(nil, "NONE", default: "d") == "d")
        #expect(environment.resolve(nil, "E", default: "d") == "d")
    }

    @Test func switches() throws {
        #expect(try environment.resolve(true, "X"))
        #expect(try !environment.resolve(false, "X"))
        #expect(throws: Failure.self) { try environment.resolve(false, "SERVER") }
    }
}

@Suite struct MessageDraftTests {
    private func draft(
        _ line: String, defaults: MessageDraft = MessageDraft(payload: [])
    ) throws -> MessageDraft {
        try MessageDraft(json: ArraySlice(Array(line.utf8)), number: 3, defaults: defaults)
    }

    @Test func fullLine() throws {
        let draft = try draft(
            #"{"payload":"héllo","key":"k","attributes":{"a":"1","n":"5"}}"#)
        #expect(draft.payload == Array("héllo".utf8))
        #expect(draft.key == Array("k".utf8))
        #expect(draft.attributes.map(\.value) == ["1", "5"])
    }

    @Test(arguments: [
        #"{"b": 1, "a": [2]}"#, "12345678901234567890123", #"{"a":[1,2.50,1e3]}"#, "1e999", "-0.0",
        "null", "true", "[ ]", #"{"a":1,"a":"\u00e9"}"#,
    ])
    func otherPayloadsAreTheirSource(_ source: String) throws {
        #expect(try draft("{\"payload\" :  \(source) }").payload == Array(source.utf8))
    }

    @Test(arguments: [
        (#"{"payload":"a","payload":"b"}"#, "\"payload\" twice"),
        (#"{"payload":"a","payloadBase64":"YQ=="}"#, "\"payloadBase64\""),
        (#"{"payload":"a","key":"a","keyBase64":"YQ=="}"#, "\"keyBase64\""),
        (#"{"payload":"a","key":5}"#, "\"key\""),
        (#"{"payload":"a","attributes":{"n":5}}"#, "\"n\""),
        (#"{"payload":"a","attributes":{"n":true}}"#, "\"n\""),
        (#"{"payload":"a","attributes":{"n":"1","n":"1"}}"#, "\"n\" twice"),
        (#"{"payload":"a","attributes":5}"#, "\"attributes\""),
    ])
    func ambiguousLinesNameTheField(_ line: String, _ field: String) {
        let failure = #expect(throws: Failure.self) { try draft(line) }
        #expect(failure?.message.contains("line 3") == true)
        #expect(failure?.message.contains(field) == true)
        #expect(failure.map { ProgramStatus($0) } == .dataError)
    }

    @Test func payloadOfBytes() throws {
        #expect(try draft(#"{"payloadBase64":"/wA="}"#).payload == [0xFF, 0])
    }

    @Test func flagsHoldWhereTheLineIsSilent() throws {
        let defaults = MessageDraft(
            payload: [], key: [1], attributes: [MessageDraft.Attribute(name: "a", value: "x")])
        let plain = try draft(#"{"payload":"p"}"#, defaults: defaults)
        #expect(plain.key == [1])
        let told = try draft(
            #"{"payload":"p","key":null,"attributes":{"a":"y"}}"#, defaults: defaults)
        #expect(told.key == nil)
        #expect(told.attributes.map(\.value) == ["y"])
    }

    @Test(arguments: [
        "", "[]", "{}", #"{"payload":"a","other":1}"#, #"{"payload":"a","key":[]}"#,
        #"{"payloadBase64":"?"}"#, #"{"payload":"a","attributes":{"a":[]}}"#, "{\"payload\":",
    ])
    func wrongLinesNameTheLine(_ line: String) {
        let failure = #expect(throws: Failure.self) { try draft(line) }
        #expect(failure?.message.contains("line 3") == true)
        #expect(failure.map { ProgramStatus($0) } == .dataError)
    }

    @Test func attributes() {
        #expect(MessageDraft.Attribute("a=b=c") == MessageDraft.Attribute(name: "a", value: "b=c"))
        #expect(MessageDraft.Attribute("=b") == nil)
        #expect(MessageDraft.Attribute("ab") == nil)
    }
}

@Suite struct ProgramStatusTests {
    @Test(arguments: [
        (Failure(.notFound, .unknownTopic, ""), ProgramStatus.notFound),
        (Failure(.alreadyExists, .alreadyExists, ""), .cannotCreate),
        (Failure(.failedPrecondition, .topicInUse, ""), .cannotCreate),
        (Failure(.unavailable, .draining, ""), .unavailable),
        (Failure(.unavailable, .indeterminate, ""), .temporary),
        (Failure(.resourceExhausted, .diskFull, ""), .temporary),
        (Failure(.internalError, .protocolError, ""), .protocolError),
        (Failure(.permissionDenied, .fenced, ""), .noPermission),
        (Failure(.dataLoss, .damaged, ""), .ioError),
        (Failure(.invalidArgument, .invalidName, ""), .dataError),
    ])
    func codes(_ failure: Failure, _ status: ProgramStatus) {
        #expect(ProgramStatus(failure) == status)
    }

    @Test func everyStatusIsInTheHelp() {
        for status in ProgramStatus.allCases {
            #expect(ProgramStatus.helpTable.contains("  \(status.rawValue) "))
        }
    }

    @Test func aFailureIsOneSentenceWithCodeReasonAndWayOut() {
        let failure = Failure(
            .notFound, .unknownTopic, "there is no topic \"x\"", retryAfterNanos: 2_000_000_000)
        let text = FailureReport.text(failure)
        #expect(
            text
                == "chaski: NOT_FOUND (unknown-topic): there is no topic \"x\"; see `chaski topic "
                + "list`, make it with `chaski topic create NAME` (try again in 2 s)")
        let json = FailureReport.json(failure)
        #expect(json["error"]?["reason"] == "unknown-topic")
        #expect(json["error"]?["exitStatus"] == 66)
        #expect(json["error"]?["retryAfterMillis"] == 2000)
    }

    @Test func controlCharactersDoNotReachTheTerminal() {
        let text = FailureReport.text(Failure(.notFound, .unknownTopic, "a\u{1B}[2Jb"))
        #expect(text.contains("a\\u{1b}[2Jb"))
    }
}

@Suite struct WorkloadTests {
    @Test func payloadsAreUnique() {
        let workload = Workload(payloadBytes: 64, run: 9)
        let payloads = Set((0..<2_000).map { workload.payload(UInt64($0)) })
        #expect(payloads.count == 2_000)
        #expect(payloads.allSatisfy { $0.count == 64 })
        #expect(workload.payload(5) == Workload(payloadBytes: 64, run: 9).payload(5))
        #expect(workload.payload(5) != Workload(payloadBytes: 64, run: 10).payload(5))
    }

    @Test func oneKeyMayHaveItsShareOfTheMessages() {
        let workload = Workload(payloadBytes: 16, run: 1, keys: 100, busyPercent: 50)
        let keys = (0..<10_000).map { workload.key(UInt64($0)) }
        let busy = keys.count { $0 == Workload.busyKey }
        #expect((4_800...5_200).contains(busy))
        #expect(Set(keys).count == 101)
    }
}
