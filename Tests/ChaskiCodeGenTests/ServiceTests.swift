import ChaskiMessages
import ChaskiProtobuf
import Synchronization
import Testing

private typealias Echo = Golden_Echo_Echo
private typealias Word = Google_Protobuf_OneofDescriptorProto

/// Generated clients and servers, joined by a transport within the process.
@Suite struct ServiceTests {
    private struct OwnError: Error {}

    /// The generated protocol, implemented.
    private struct Server: Echo.ServiceProtocol {
        func say(_ request: Word, context: RPCContext) async throws -> Word {
            switch request.name {
            case "who": return .with { $0.name = context.caller }
            case "where": return .with { $0.name = context.path }
            case "tenant": return .with { $0.name = context.metadata["tenant"] ?? "none" }
            case "refuse":
                throw RPCError(
                    .failedPrecondition, "no", reason: "not-now", retryAfter: .seconds(1))
            case "break": throw OwnError()
            default: return request
            }
        }

        func join(_ requests: RPCMessages<Word>, context: RPCContext) async throws -> Word {
            var words: [String] = []
            for try await request in requests {
                words.append(request.name)
                if request.name == "stop" { break }
            }
            return .with { $0.name = words.joined(separator: " ") }
        }

        func spell(
            _ request: Word, responses: RPCWriter<Word>, context: RPCContext
        ) async throws {
            for letter in request.name {
                try await responses.write(.with { $0.name = "\(letter)" })
            }
        }

        func chat(
            _ requests: RPCMessages<Word>, responses: RPCWriter<Word>, context: RPCContext
        ) async throws {
            for try await request in requests { try await responses.write(request) }
            try await responses.write(.with { $0.name = "bye" })
        }

        func shout(_ request: Word, context: RPCContext) async throws -> Word {
            .with { $0.name = request.name.uppercased() }
        }
    }

    private func client() throws -> Echo.Client {
        Echo.Client(LoopbackChannel(dispatcher: try RPCDispatcher([Server()])))
    }

    private func word(_ name: String) -> Word { .with { $0.name = name } }

    @Test func unary() async throws {
        let client = try client()
        #expect(try await client.say(word("hello")).name == "hello")
        #expect(try await client.say(word("who")).name == "tests")
        #expect(try await client.say(word("where")).name == "golden.echo.Echo/Say")
        let options = RPCOptions(metadata: ["tenant": "blue"])
        #expect(try await client.say(word("tenant"), options: options).name == "blue")
    }

    @Test func clientStream() async throws {
        let answer = try await client().join { requests in
            for index in 0..<20 { try await requests.write(.with { $0.name = "\(index)" }) }
        }
        #expect(answer.name == (0..<20).map(String.init).joined(separator: " "))
    }

    /// The answer ends a sender that would never end by itself.
    @Test func answerBeforeTheEndOfRequests() async throws {
        let answer = try await client().join { requests in
            try await requests.write(.with { $0.name = "stop" })
            while true { try await requests.write(.with { $0.name = "on" }) }
        }
        #expect(answer.name == "stop")
    }

    @Test func whatTheSenderThrowsIsThrown() async throws {
        let client = try client()
        await #expect(throws: OwnError.self) {
            try await client.join { requests in
                try await requests.write(.with { $0.name = "a" })
                throw OwnError()
            }
        }
    }

    @Test func serverStream() async throws {
        var letters = ""
        for try await letter in try await client().spell(word("chaskis")) { letters += letter.name }
        #expect(letters == "chaskis")
    }

    @Test func bidirectional() async throws {
        let call = try await client().chat()
        var responses = call.responses.makeAsyncIterator()
        for text in ["one", "two", "three"] {
            try await call.requests.write(word(text))
            #expect(try await responses.next()?.name == text)
        }
        try await call.finish()
        #expect(try await responses.next()?.name == "bye")
        #expect(try await responses.next() == nil)
    }

    /// A caller that stops reading ends the handler, which waits in a full pipe.
    @Test func droppedResponsesCancelTheCall() async throws {
        let client = try client()
        var first: String?
        for try await letter in try await client.spell(word(String(repeating: "x", count: 100))) {
            first = letter.name
            break
        }
        #expect(first == "x")
        let call = try await client.chat()
        call.cancel()
        await #expect(throws: RPCError.self) { try await call.requests.write(Word()) }
    }

    @Test func statusReachesTheCaller() async throws {
        let client = try client()
        let refused = await #expect(throws: RPCError.self) { try await client.say(word("refuse")) }
        #expect(refused?.code == .failedPrecondition && refused?.reason == "not-now")
        #expect(refused?.retryAfter == .seconds(1))
        // Nothing of an error that was not made for callers.
        let broken = await #expect(throws: RPCError.self) { try await client.say(word("break")) }
        #expect(broken == RPCError(.unknown, "the handler failed"))
    }

    @Test func unknownMethodsAndServices() async throws {
        let nobody = Echo.Client(LoopbackChannel(dispatcher: try RPCDispatcher()))
        let error = await #expect(throws: RPCError.self) { try await nobody.say(word("x")) }
        #expect(error?.code == .unimplemented)
        let stream = try await nobody.spell(word("x"))
        await #expect(throws: RPCError.self) { for try await _ in stream {} }
        let twice = #expect(throws: RPCError.self) { try RPCDispatcher([Server(), Server()]) }
        #expect(twice?.code == .alreadyExists)
    }

    @Test func methodTable() throws {
        let dispatcher = try RPCDispatcher([Server()])
        let service = try #require(dispatcher.services.first)
        #expect(service.name == "golden.echo.Echo")
        #expect(service.handlers.map(\.clientStreams) == [false, true, false, true, false])
        #expect(service.handlers.map(\.serverStreams) == [false, false, true, true, false])
        #expect(service.handlers.map(\.isIdempotent) == [true, false, false, false, false])
        #expect(dispatcher.handler(of: "golden.echo.Echo/Chat")?.path == Echo.chat.path)
        #expect(dispatcher.handler(of: "golden.echo.Echo/Whisper") == nil)
    }

    /// What cannot be read is the sender's fault on either side.
    @Test func damagedMessages() async throws {
        let dispatcher = try RPCDispatcher([Server()])
        let channel = LoopbackChannel(dispatcher: dispatcher)
        let stream = try await channel.open(
            Echo.say.path, isIdempotent: true, options: RPCOptions())
        try await stream.send([0x0A, 0x05, 0x41], isLast: true)
        let error = await #expect(throws: RPCError.self) { try await stream.receive() }
        #expect(error?.code == .invalidArgument)
    }

    @Test func metadataKeepsOrderAndRepeats() {
        var metadata: RPCMetadata = ["a": "1", "b": "2"]
        metadata.append("a", "3")
        #expect(metadata["a"] == "1" && metadata.values(of: "a") == ["1", "3"])
        metadata["a"] = "4"
        #expect(metadata.map(\.name) == ["b", "a"] && metadata.count == 2)
        metadata["b"] = nil
        #expect(metadata["b"] == nil)
    }
}
