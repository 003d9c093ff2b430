import ChaskiMessages
import Testing

@testable import ChaskiCodeGen

@Suite struct GenerateCommandTests {
    @Test func aModuleNamesBothFolders() throws {
        let command = try GenerateCommand(parsing: ["--module", "Orders"])
        #expect(command.outputFolders == ["Sources/COrders", "Sources/Orders"])
        #expect(command.options.cModule == "COrders")
        #expect(command.options.visibility == .public)
        #expect(command.options.fileNaming == .pathToUnderscores)
        #expect(command.protos == "Protos" && command.files.isEmpty && !command.checks)
    }

    @Test func everythingCanBeSaid() throws {
        let command = try GenerateCommand(parsing: [
            "--c-folder=./Sources/C/", "--swift-folder", "Sources/App/Generated", "--check",
            "--protos", "api/", "--import", "/opt/protos", "--set", "Visibility=Internal",
            "--set=Services=None", "a/b.proto",
        ])
        #expect(command.outputFolders == ["Sources/C", "Sources/App/Generated"])
        #expect(command.options.cModule == "C" && command.options.visibility == .internal)
        #expect(command.options.services == .none && command.checks)
        #expect(
            command.protocArguments(try command.chosen(of: ["a/b.proto", "c.proto"])) == [
                "-Iapi", "-I/opt/protos", "--include_imports", "--include_source_info",
                "--descriptor_set_out=/dev/stdout", "api/a/b.proto",
            ])
    }

    @Test func oneLanguageNeedsOneFolder() throws {
        let swift = try GenerateCommand(parsing: ["--swift-folder", "S", "--set", "Output=Swift"])
        #expect(swift.outputFolders == ["S"])
        let c = try GenerateCommand(parsing: ["--c-folder", "C", "--set", "Output=C"])
        #expect(c.outputFolders == ["C"] && c.options.cModule == "C")
    }

    @Test(arguments: [
        [], ["--check"], ["--module"], ["--module", "--check"], ["--module", "3x"],
        ["--modul", "X"],
        ["--check=yes", "--module", "X"], ["--module", "X", "--set", "Visibility"],
        ["--module", "X", "--set", "CDir=y"], ["--c-folder", "a/b", "--swift-folder", "a"],
        ["--c-folder", "a", "--swift-folder", "a"], ["--c-folder", "a"],
        ["--c-folder", "no-name", "--swift-folder", "a"],
    ])
    func whatIsNotUnderstoodIsRefused(_ arguments: [String]) {
        #expect(throws: GeneratorError.self) { try GenerateCommand(parsing: arguments) }
    }

    @Test func filesAreThoseOfTheFolder() throws {
        let all = try GenerateCommand(parsing: ["--module", "X"])
        #expect(
            try all.chosen(of: ["b.proto", "README.md", "a/a.proto"]) == ["a/a.proto", "b.proto"])
        #expect(throws: GeneratorError.self) { try all.chosen(of: ["README.md"]) }
        let one = try GenerateCommand(parsing: ["--module", "X", "b.proto"])
        #expect(try one.chosen(of: ["b.proto", "a.proto"]) == ["b.proto"])
        #expect(throws: GeneratorError.self) { try one.chosen(of: ["a.proto"]) }
    }

    @Test func descriptorSetsGiveFilesInBothFolders() throws {
        let set = Google_Protobuf_FileDescriptorSet.with {
            $0.file = [
                .with {
                    $0.name = "a/b.proto"
                    $0.syntax = "proto3"
                    $0.messageType = [.with { $0.name = "M" }]
                }
            ]
        }
        let plugin = Plugin { request throws(GeneratorError) in
            do {
                let request = try Google_Protobuf_Compiler_CodeGeneratorRequest(
                    serializedBytes: request)
                let response = Google_Protobuf_Compiler_CodeGeneratorResponse.with {
                    $0.file = request.fileToGenerate.map { name in .with { $0.name = name + ".h" } }
                }
                return try response.serializedBytes()
            } catch {
                throw GeneratorError("\(error)")
            }
        }
        let command = try GenerateCommand(parsing: ["--module", "X"])
        let files = try plugin.generate(
            descriptorSet: try set.serializedBytes(), names: ["a/b.proto"],
            options: command.options)
        #expect(
            files.map(\.path) == [
                "Sources/CX/include/a_b.proto.h", "Sources/CX/include/CX.h",
                "Sources/CX/include/module.modulemap", "Sources/X/a_b.pb.swift",
            ])
        #expect(
            files.dropFirst().allSatisfy {
                GeneratedFile.isOurs(path: $0.path, content: $0.content)
            })
        #expect(throws: GeneratorError.self) {
            try plugin.generate(descriptorSet: [0xFF], names: [], options: command.options)
        }
    }

    @Test func typesOfAnotherRunNeedAModule() throws {
        let set = Google_Protobuf_FileDescriptorSet.with {
            $0.file = [
                .with {
                    $0.name = "money.proto"
                    $0.syntax = "proto3"
                    $0.messageType = [.with { $0.name = "Money" }]
                },
                .with {
                    $0.name = "order.proto"
                    $0.syntax = "proto3"
                    $0.dependency = ["money.proto"]
                    $0.messageType = [
                        .with {
                            $0.name = "Order"
                            $0.field = [
                                .with {
                                    $0.name = "price"
                                    $0.number = 1
                                    $0.type = .message
                                    $0.typeName = ".Money"
                                }
                            ]
                        }
                    ]
                },
            ]
        }
        let bytes = try set.serializedBytes()
        func generate(_ arguments: [String]) throws -> [GeneratedFile] {
            let command = try GenerateCommand(
                parsing: ["--module", "X", "--set", "Output=Swift"] + arguments)
            return try Plugin(runC: { $0 }).generate(
                descriptorSet: bytes, names: ["order.proto"], options: command.options)
        }
        let error = #expect(throws: GeneratorError.self) { try generate([]) }
        #expect(error?.description.contains("--set Module=money.proto:NAME") == true)
        let files = try generate(["--set", "Module=money.proto:Common"])
        #expect(files.first?.content.contains("public import Common\n") == true)
    }

    @Test func changesLeaveOtherFilesAlone() throws {
        let mark = "// Generated by protoc-gen-chaski-swift from x. Do not edit."
        let existing = [
            "S/same.pb.swift": mark, "S/other.pb.swift": mark, "S/gone.pb.swift": mark,
            "S/mine.swift": mark, "S/foreign.pb.swift": "// by another generator",
            "C/gone.pb-c.c": "/* Generated by the protocol buffer compiler.  DO NOT EDIT! */",
            "C/shim.c": "int one(void);", "C/include/shim.h": "int one(void);",
        ]
        let generated = [
            GeneratedFile(path: "S/same.pb.swift", content: mark),
            GeneratedFile(path: "S/other.pb.swift", content: mark + "\n"),
            GeneratedFile(path: "S/new.pb.swift", content: mark),
        ]
        let changes = try OutputChanges(generated: generated, existing: existing)
        #expect(changes.written.map(\.path) == ["S/other.pb.swift", "S/new.pb.swift"])
        #expect(changes.removed == ["C/gone.pb-c.c", "S/gone.pb.swift"])
        #expect(!changes.isEmpty && changes.differences.count == 4)
        #expect(
            try OutputChanges(generated: [generated[0]], existing: [generated[0].path: mark])
                .isEmpty)
        #expect(throws: GeneratorError.self) {
            try OutputChanges(
                generated: [GeneratedFile(path: "C/shim.c", content: "")], existing: existing)
        }
    }
}
