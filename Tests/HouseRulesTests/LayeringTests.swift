import Testing

/// Imports point down the layers; the pure cores touch no socket, file, clock or random source.
@Suite struct LayeringTests {
    static let pureCores = [
        "ChaskiModel", "ChaskiRecords", "ChaskiWire", "ChaskiStorage", "ChaskiBroker",
        "ChaskiStreams", "ChaskiProtobuf", "ChaskiMessages",
    ]

    /// What each target may import of ours; everything else of ours is refused.
    static let allowed: [String: Set<String>] = [
        "ChaskiModel": ["CChaskiShims"],
        // The C library's allocator is the operating system's.
        "ChaskiProtobuf": ["CProtobufC", "Glibc", "Musl", "Darwin"],
        "ChaskiMessages": ["ChaskiProtobuf", "CChaskiProtos", "CProtobufC"],
        // `Date` is Foundation's.
        "ChaskiWellKnownTypes": [
            "ChaskiProtobuf", "CChaskiWellKnownTypes", "FoundationEssentials", "Foundation",
        ],
        "ChaskiRecords": ["ChaskiModel", "CChaskiShims", "CZlib"],
        "ChaskiWire": [
            "ChaskiModel", "ChaskiRecords", "ChaskiMessages", "ChaskiProtobuf", "CChaskiShims",
            "CZlib",
        ],
        "ChaskiStorage": ["ChaskiModel"],
        "ChaskiBroker": ["ChaskiModel", "ChaskiRecords"],
        "ChaskiStreams": [
            "ChaskiModel", "ChaskiMessages", "ChaskiProtobuf", "ChaskiRecords", "ChaskiWire",
            "ChaskiBroker",
        ],
    ]

    @Test func pureCoresImportOnlyWhatTheirLayerAllows() throws {
        let files = try SourceTree.swiftFiles(under: "Sources")
        #expect(!files.isEmpty)
        let standard: Set = [
            "Synchronization", "DequeModule", "OrderedCollections", "Swift", "HeapModule",
        ]
        for file in files {
            guard let allowed = Self.allowed[file.target] else { continue }
            for module in file.imports where !allowed.contains(module) && !standard.contains(module)
            {
                Issue.record("\(file.path) imports \(module): \(file.target) may not")
            }
        }
    }

    @Test func brokerAndStorageDoNotKnowEachOther() throws {
        for file in try SourceTree.swiftFiles(under: "Sources") {
            if file.target == "ChaskiBroker" { #expect(!file.imports.contains("ChaskiStorage")) }
            if file.target == "ChaskiStorage" { #expect(!file.imports.contains("ChaskiBroker")) }
            if file.target == "ChaskiClient" { #expect(!file.imports.contains("ChaskiServer")) }
        }
    }

    @Test func pureCoresCallNoClockRandomSourceOrTask() throws {
        let banned = [
            "Date()", "ContinuousClock", "SuspendingClock", "SystemRandomNumberGenerator",
            ".random(in:", ".shuffled()", ".randomElement()", "Task {", "Task.detached",
            "DispatchQueue", "clock_gettime", "print(", "FileManager",
        ]
        for file in try SourceTree.swiftFiles(under: "Sources")
        where Self.pureCores.contains(file.target) || file.target == "ChaskiSimulation" {
            for (number, line) in file.lines.enumerated() where !isComment(line) {
                for call in banned where line.contains(call) {
                    Issue.record("\(file.path):\(number + 1) uses \(call)")
                }
            }
        }
    }

    @Test func testsDoNotSleep() throws {
        let banned = ["Task.sleep", "Thread.sleep", "usleep(", " sleep(", "nanosleep"]
        for file in try SourceTree.swiftFiles(under: "Tests") where file.target != "HouseRulesTests"
        {
            for (number, line) in file.lines.enumerated() where !isComment(line) {
                for call in banned where line.contains(call) {
                    Issue.record("\(file.path):\(number + 1) sleeps with \(call)")
                }
            }
        }
    }

    @Test func nothingForcesOrTraps() throws {
        let banned = ["try!", "as!", "fatalError(", "unsafeBitCast("]
        for file in try SourceTree.swiftFiles(under: "Sources") {
            for (number, line) in file.lines.enumerated() where !isComment(line) {
                for call in banned where line.contains(call) {
                    Issue.record("\(file.path):\(number + 1) uses \(call)")
                }
            }
        }
    }

    private func isComment(_ line: String) -> Bool {
        line.drop(while: { $0 == " " }).hasPrefix("//")
    }
}
