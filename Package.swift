// swift-tools-version: 6.2
import PackageDescription

// Settings of every target of ours, stated once.
let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]
// Generated C is compiled as it comes; ours with warnings as errors.
let generatedC: [CSetting] = [.disableWarning("everything")]
let strictC: [CSetting] = [
    .treatAllWarnings(as: .error), .enableWarning("all"), .enableWarning("extra"),
]

let nio = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioEmbedded = Target.Dependency.product(name: "NIOEmbedded", package: "swift-nio")
let argumentParser = Target.Dependency.product(
    name: "ArgumentParser", package: "swift-argument-parser")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let metrics = Target.Dependency.product(name: "Metrics", package: "swift-metrics")
let lifecycle = Target.Dependency.product(
    name: "ServiceLifecycle", package: "swift-service-lifecycle")
let deque = Target.Dependency.product(name: "DequeModule", package: "swift-collections")
let ordered = Target.Dependency.product(name: "OrderedCollections", package: "swift-collections")
let histogram = Target.Dependency.product(name: "Histogram", package: "hdrhistogram-swift")

func ours(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: strict)
}
func program(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(name: name, dependencies: dependencies, swiftSettings: strict)
}
func tests(
    _ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []
) -> Target {
    .testTarget(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: strict)
}

let package = Package(
    name: "chaski",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "ChaskiClient", targets: ["ChaskiClient"]),
        .library(name: "ChaskiProtobuf", targets: ["ChaskiProtobuf"]),
        .library(
            name: "ChaskiWellKnownTypes",
            targets: ["ChaskiWellKnownTypes", "CChaskiWellKnownTypes"]),
        // What generated C includes; for targets of generated C in other packages.
        .library(name: "CProtobufC", targets: ["CProtobufC"]),
        .executable(name: "chaski", targets: ["chaski"]),
        .executable(name: "chaski-sim", targets: ["chaski-sim"]),
        .executable(name: "protoc-gen-chaski-swift", targets: ["protoc-gen-chaski-swift"]),
        .plugin(name: "ChaskiGenerate", targets: ["ChaskiGenerate"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", exact: "1.6.0"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", exact: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", exact: "0.2.0"),
    ],
    targets: [
        // C
        .systemLibrary(
            name: "CProtobufC", pkgConfig: "libprotobuf-c",
            providers: [.apt(["libprotobuf-c-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .target(name: "CChaskiShims", dependencies: ["CZlib"], cSettings: strictC),
        .target(name: "CChaskiProtos", dependencies: ["CProtobufC"], cSettings: generatedC),
        .target(name: "CChaskiWellKnownTypes", dependencies: ["CProtobufC"]),

        // Vocabulary
        ours("ChaskiModel", ["CChaskiShims"]),

        // Bindings
        ours("ChaskiProtobuf", ["CProtobufC"]),
        ours("ChaskiMessages", ["ChaskiProtobuf", "CChaskiProtos"]),
        ours("ChaskiWellKnownTypes", ["ChaskiProtobuf", "CChaskiWellKnownTypes"]),

        // Pure cores
        ours("ChaskiRecords", ["ChaskiModel", "CChaskiShims", "CZlib"]),
        ours(
            "ChaskiWire",
            ["ChaskiModel", "ChaskiMessages", "ChaskiProtobuf", "CChaskiShims", "CZlib", deque]),
        ours("ChaskiStorage", ["ChaskiModel", deque]),
        ours("ChaskiBroker", ["ChaskiModel", "ChaskiRecords", deque]),
        ours(
            "ChaskiStreams",
            [
                "ChaskiModel", "ChaskiMessages", "ChaskiProtobuf", "ChaskiRecords", "ChaskiWire",
                "ChaskiBroker", deque,
            ]),
        ours("ChaskiCodeGen", ["ChaskiMessages", "ChaskiProtobuf"]),

        // IO shells
        ours("ChaskiDisk", ["ChaskiModel", "ChaskiStorage", "CChaskiShims"]),
        ours("ChaskiTransport", ["ChaskiModel", "ChaskiWire", nio, nioPosix, logging]),
        ours(
            "ChaskiServer",
            [
                "ChaskiModel", "ChaskiMessages", "ChaskiProtobuf", "ChaskiRecords", "ChaskiWire",
                "ChaskiBroker", "ChaskiStreams", "ChaskiStorage",
                "ChaskiDisk", "ChaskiTransport", nio, nioPosix, logging, metrics, lifecycle, deque,
            ]),
        ours(
            "ChaskiClient",
            [
                "ChaskiModel", "ChaskiMessages", "ChaskiProtobuf", "ChaskiRecords", "ChaskiWire",
                "ChaskiTransport", nio, nioPosix, logging, deque,
            ]),
        ours(
            "ChaskiSimulation",
            [
                "ChaskiModel", "ChaskiMessages", "ChaskiProtobuf", "ChaskiRecords", "ChaskiWire",
                "ChaskiBroker", "ChaskiStreams", "ChaskiStorage", deque,
            ]),

        // Programs
        ours(
            "ChaskiCLI",
            [
                "ChaskiModel", "ChaskiRecords", "ChaskiWire", "ChaskiStorage", "ChaskiDisk",
                "ChaskiServer", "ChaskiClient",
                argumentParser, logging, lifecycle, histogram,
            ]),
        program("chaski", ["ChaskiCLI"]),
        program("protoc-gen-chaski-swift", ["ChaskiCodeGen"]),
        program("chaski-sim", ["ChaskiSimulation"]),
        .plugin(
            name: "ChaskiGenerate",
            capability: .command(
                intent: .custom(
                    verb: "chaski-generate",
                    description: "Makes a C target and a Swift target of .proto files"),
                permissions: [
                    .writeToPackageDirectory(reason: "It writes the code made of .proto files.")
                ]),
            dependencies: ["protoc-gen-chaski-swift"], path: "Sources/ChaskiGenerate"),

        // Tests
        tests("HouseRulesTests", []),
        tests("ChaskiModelTests", ["ChaskiModel"]),
        tests("ChaskiProtobufTests", ["ChaskiProtobuf", "ChaskiMessages"]),
        tests(
            "ChaskiWellKnownTypesTests",
            ["ChaskiWellKnownTypes", "ChaskiProtobuf", "ChaskiMessages"]),
        tests(
            "ChaskiCodeGenTests", ["ChaskiCodeGen", "ChaskiMessages", "ChaskiProtobuf"],
            exclude: ["Golden"]),
        tests("ChaskiRecordsTests", ["ChaskiRecords", "ChaskiModel"]),
        tests("ChaskiWireTests", ["ChaskiWire", "ChaskiRecords", "ChaskiModel", "ChaskiMessages"]),
        tests(
            "ChaskiStorageTests",
            ["ChaskiStorage", "ChaskiModel", "ChaskiSimulation", "ChaskiDisk"]),
        tests("ChaskiBrokerTests", ["ChaskiBroker", "ChaskiRecords", "ChaskiModel"]),
        tests(
            "ChaskiSimulationTests",
            ["ChaskiSimulation", "ChaskiModel", "ChaskiBroker", "ChaskiRecords"]),
        tests(
            "ChaskiTransportTests",
            ["ChaskiTransport", "ChaskiWire", "ChaskiModel", nio, nioEmbedded]),
        tests(
            "ChaskiServerTests",
            [
                "ChaskiServer", "ChaskiClient", "ChaskiTransport", "ChaskiStorage", "ChaskiModel",
                "ChaskiRecords", "ChaskiWire", "ChaskiMessages", "ChaskiProtobuf", nio, nioPosix,
                logging,
            ]),
        tests(
            "ChaskiClientTests",
            [
                "ChaskiClient", "ChaskiModel", "ChaskiWire", "ChaskiRecords", "ChaskiMessages",
                "ChaskiTransport", "ChaskiProtobuf", nio,
                nioPosix, nioEmbedded,
            ]),
        tests("ChaskiCLITests", ["ChaskiCLI", "ChaskiModel"]),
    ]
)
