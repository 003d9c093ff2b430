import ChaskiMessages
import ChaskiProtobuf
import Synchronization
import Testing

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

@Suite struct DecodingLimitTests {
    private typealias Nested = Google_Protobuf_DescriptorProto

    private func error<M: Message>(
        _ type: M.Type, _ bytes: [UInt8], _ options: DecodingOptions = DecodingOptions()
    ) -> DecodingError? {
        do throws(DecodingError) {
            _ = try M(serializedBytes: bytes, options: options)
            return nil
        } catch {
            return error
        }
    }

    // MARK: Depth

    @Test(arguments: [(100, true), (101, false), (100_000, false)])
    func depth(_ depth: Int, _ isAllowed: Bool) {
        let failure = error(Nested.self, Wire.nested(3, depth: depth))
        #expect(failure?.code == (isAllowed ? nil : .tooDeep))
        if !isAllowed {
            #expect(failure?.field.hasPrefix("google.protobuf.DescriptorProto") == true)
        }
    }

    @Test func depthIsSettable() {
        let bytes = Wire.nested(3, depth: 4)
        #expect(error(Nested.self, bytes, .init(depthLimit: 4)) == nil)
        #expect(error(Nested.self, bytes, .init(depthLimit: 3))?.code == .tooDeep)
        #expect(error(Nested.self, bytes, .init(depthLimit: 0))?.code == .tooDeep)
        #expect(error(Nested.self, [], .init(depthLimit: 0)) == nil)
    }

    @Test func unknownGroupsCountAsDepth() {
        var bytes: [UInt8] = []
        for _ in 0..<100 { bytes = Wire.group(900, bytes) }
        #expect(error(Chaski_V1_Status.self, bytes) == nil)
        #expect(error(Chaski_V1_Status.self, Wire.group(900, bytes))?.code == .tooDeep)
        let open = Wire.repeated(Wire.tag(900, 3), 15_000)
        #expect(error(Chaski_V1_Status.self, open)?.code == .tooDeep)
    }

    @Test func fifteenThousandLevelsOnASmallStack() throws {
        let code = try onSmallStack {
            do throws(DecodingError) {
                _ = try Google_Protobuf_DescriptorProto(
                    serializedBytes: Wire.nested(3, depth: 15_000))
                return nil
            } catch {
                return error.code
            }
        }
        #expect(code == .tooDeep)
    }

    @Test func allowedDepthFitsASmallStack() throws {
        let code = try onSmallStack {
            do throws(DecodingError) {
                let bytes = Wire.nested(3, depth: 100)
                let message = try Google_Protobuf_DescriptorProto(serializedBytes: bytes)
                // Wrapped by the normaliser when a piece comes twice.
                _ = try Google_Protobuf_FileDescriptorProto(
                    serializedBytes: Wire.bytes(4, Wire.nested(3, depth: 99)) + Wire.bytes(8, [])
                        + Wire.bytes(8, []))
                return message.nestedType.isEmpty ? .malformed : nil
            } catch {
                return error.code
            }
        }
        #expect(code == nil)
    }

    /// Runs `body` on a thread with a stack of 512 KiB.
    private func onSmallStack(
        _ body: @escaping @Sendable () -> DecodingError.Code?
    ) throws -> DecodingError.Code? {
        final class Box: Sendable {
            let body: @Sendable () -> DecodingError.Code?
            let result = Mutex<DecodingError.Code?>(nil)
            init(_ body: @escaping @Sendable () -> DecodingError.Code?) { self.body = body }
        }
        let box = Box(body)
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        #expect(pthread_attr_setstacksize(&attributes, 512 << 10) == 0)
        #if canImport(Glibc)
            var thread = pthread_t()
        #else
            var thread: pthread_t?
        #endif
        let raw = Unmanaged.passRetained(box).toOpaque()
        let status = pthread_create(
            &thread, &attributes,
            { raw in
                #if canImport(Glibc)
                    guard let raw else { return nil }
                #endif
                let box = Unmanaged<Box>.fromOpaque(raw).takeRetainedValue()
                let code = box.body()
                box.result.withLock { $0 = code }
                return nil
            }, raw)
        try #require(status == 0)
        #if canImport(Glibc)
            pthread_join(thread, nil)
        #else
            if let thread { pthread_join(thread, nil) }
        #endif
        return box.result.withLock { $0 }
    }

    // MARK: Memory and items

    @Test(arguments: [(4_096, true), (4_097, false), (4_096_000, false)])
    func items(_ count: Int, _ isAllowed: Bool) {
        let bytes = Wire.repeated([0x0A, 0x00], count)
        let options = DecodingOptions(memoryBudget: 1 << 40, itemLimit: 4_096)
        let failure = error(Chaski_V1_ListTopicsResponse.self, bytes, options)
        #expect(failure?.code == (isAllowed ? nil : .tooManyItems))
    }

    @Test func itemsOfAllFieldsCountTogether() {
        let topic = Wire.bytes(1, Wire.text(8, "s") + Wire.text(8, "t"))
        let bytes = topic + topic
        #expect(error(Chaski_V1_ListTopicsResponse.self, bytes, .init(itemLimit: 6)) == nil)
        let failure = error(Chaski_V1_ListTopicsResponse.self, bytes, .init(itemLimit: 5))
        #expect(failure?.code == .tooManyItems)
        #expect(failure?.field == "chaski.v1.ListTopicsResponse.topics")
    }

    @Test func packedNumbersCountAsItems() {
        // GeneratedCodeInfo.Annotation.path is packed.
        let path = Wire.bytes(1, Wire.bytes(1, [1, 2, 3, 0x80, 0x01]))
        typealias Info = Google_Protobuf_GeneratedCodeInfo
        #expect(error(Info.self, path, .init(itemLimit: 5)) == nil)
        #expect(error(Info.self, path, .init(itemLimit: 4))?.code == .tooManyItems)
    }

    @Test func emptySubmessagesAreBounded() {
        // 300 kB of them would take tens of megabytes.
        let bytes = Wire.repeated([0x22, 0x00], 150_000)
        typealias File = Google_Protobuf_FileDescriptorProto
        for megabytes in [1, 8, 16] {
            let options = DecodingOptions(memoryBudget: megabytes << 20)
            #expect(error(File.self, bytes, options)?.code == .overMemoryBudget)
        }
        #expect(error(File.self, bytes, .init(memoryBudget: 0))?.code == .overMemoryBudget)
    }

    @Test func unknownFieldsAreBounded() {
        // Apart from each other, so that they cannot share an entry.
        let bytes = Wire.repeated([0x78, 0x00, 0x08, 0x01], 150_000)
        let options = DecodingOptions(memoryBudget: 1 << 20)
        #expect(error(Chaski_V1_Status.self, bytes, options)?.code == .overMemoryBudget)
    }

    @Test func numbersOfClosedEnumsAreBounded() {
        // FieldDescriptorProto.label = 99, in 2,000 fields of a message.
        let field = Wire.bytes(2, Wire.number(4, 99))
        let bytes = Wire.repeated(field, 2_000)
        typealias Nested = Google_Protobuf_DescriptorProto
        #expect(error(Nested.self, bytes) == nil)
        #expect(error(Nested.self, bytes, .init(memoryBudget: 600_000))?.code == .overMemoryBudget)
    }

    @Test func budgetCoversTextOfTheResult() {
        let bytes = Wire.text(3, String(repeating: "x", count: 100_000))
        #expect(error(Chaski_V1_Status.self, bytes, .init(memoryBudget: 150_000)) == nil)
        let failure = error(Chaski_V1_Status.self, bytes, .init(memoryBudget: 100_000))
        #expect(failure?.code == .overMemoryBudget)
    }

    // MARK: Malformed input

    @Test func textMustBeUTF8() {
        for bad: [UInt8] in [
            [0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xE2, 0x82], [0x61, 0x80],
        ] {
            let failure = error(Chaski_V1_Status.self, Wire.bytes(3, bad))
            #expect(failure?.code == .invalidUTF8)
            #expect(failure?.field == "chaski.v1.Status.message")
        }
        let key = Wire.bytes(4, Wire.bytes(1, [0xFF]))
        #expect(error(Chaski_V1_Open.self, key)?.field == "chaski.v1.Open.metadata")
        let inner = Wire.bytes(1, Wire.bytes(8, [0xFF]))
        let failure = error(Chaski_V1_ListTopicsResponse.self, inner)
        #expect(failure?.field == "chaski.v1.Topic.subscriptions")
    }

    @Test func truncationSaysWhere() {
        let bytes = Wire.number(1, 5) + Wire.tag(3, 2) + [10, 0x61]
        let failure = error(Chaski_V1_Status.self, bytes)
        #expect(failure == DecodingError(.truncated, field: "chaski.v1.Status", byteOffset: 3))
        let inner = Wire.bytes(2, Wire.tag(3, 2) + [10])
        let nested = error(Chaski_V1_GoAway.self, inner)
        #expect(nested?.code == .truncated && nested?.field == "chaski.v1.GoAway.status")
    }

    @Test func everyPrefixIsRefusedOrShorter() throws {
        let whole = try Chaski_V1_ConsumeRequest.with {
            $0.settle = .with {
                $0.requestID = 1 << 40
                $0.reason = "because of it"
                $0.delayNanos = 5
            }
        }.serializedBytes()
        for count in 1..<whole.count {
            #expect(error(Chaski_V1_ConsumeRequest.self, Array(whole[..<count])) != nil)
        }
    }

    @Test(
        arguments: [
            [0x00], [0x02, 0x00], [0x07], [0x0E], [0x0F], [0x0C], [0x80, 0x00],
            [0x80, 0x80, 0x80, 0x80, 0x80, 0x01], [0xF8, 0xFF, 0xFF, 0xFF, 0x1F, 0x00],
            [0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
            [0x12, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F], [0x0B], [0x0B, 0x14],
        ] as [[UInt8]])
    func malformed(_ bytes: [UInt8]) {
        let code = error(Chaski_V1_Status.self, bytes)?.code
        #expect(code == .malformed || code == .truncated)
    }

    @Test func largestFieldNumberIsKept() throws {
        let bytes = Wire.number((1 << 29) - 1, 7)
        let status = try Chaski_V1_Status(serializedBytes: bytes)
        #expect(status.unknownFields.bytes == bytes)
        #expect(try status.serializedBytes() == bytes)
    }

    @Test func randomBytesNeverTrap() {
        var state: UInt64 = 0x9E37_79B9_7F4A_7C15
        func next() -> UInt64 {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return state
        }
        for _ in 0..<6_000 {
            let bytes = (0..<(next() % 40)).map { _ in
                // Mostly small numbers, so that tags and lengths make sense.
                UInt8(truncatingIfNeeded: next() % 3 == 0 ? next() : next() % 48)
            }
            _ = error(Google_Protobuf_FileDescriptorProto.self, bytes)
            if let message = try? Chaski_V1_ConsumeRequest(serializedBytes: bytes) {
                let again = try? message.serializedBytes()
                #expect(again != nil)
            }
        }
    }
}
