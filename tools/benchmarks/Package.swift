// swift-tools-version: 6.2
import PackageDescription

// Chaski's bindings beside SwiftProtobuf's. A package of its own, so that the broker does not
// depend on what it is compared with. `run` writes the Generated folders; see README.md.
let package = Package(
    name: "benchmarks",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(name: "chaski", path: "../.."),
        .package(url: "https://github.com/apple/swift-protobuf", exact: "1.39.0"),
    ],
    targets: [
        .target(name: "CAllocations"),
        .target(
            name: "CBench", dependencies: [.product(name: "CProtobufC", package: "chaski")],
            path: "Sources/Generated/CBench", cSettings: [.unsafeFlags(["-w"])]),
        .target(
            name: "Ours",
            dependencies: ["CBench", .product(name: "ChaskiProtobuf", package: "chaski")],
            path: "Sources/Generated/Ours"),
        .target(
            name: "Theirs",
            dependencies: [.product(name: "SwiftProtobuf", package: "swift-protobuf")],
            path: "Sources/Generated/Theirs"),
        .executableTarget(
            name: "bench",
            dependencies: [
                "CAllocations", "Ours", "Theirs",
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ]),
    ]
)
