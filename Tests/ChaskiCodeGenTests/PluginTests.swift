import ChaskiMessages
import Testing

@testable import ChaskiCodeGen

@Suite struct PluginTests {
    typealias File = Google_Protobuf_FileDescriptorProto
    typealias Message = Google_Protobuf_DescriptorProto
    typealias Field = Google_Protobuf_FieldDescriptorProto
    typealias Request = Google_Protobuf_Compiler_CodeGeneratorRequest
    typealias Response = Google_Protobuf_Compiler_CodeGeneratorResponse

    private func field(
        _ name: String, _ number: Int32, _ type: Field.TypeEnum, _ label: Field.Label = .optional
    ) -> Field {
        .with {
            $0.name = name
            $0.number = number
            $0.type = type
            $0.label = label
        }
    }

    private func file(_ messages: [Message], _ syntax: String = "proto3") -> File {
        .with {
            $0.name = "dir/test.proto"
            $0.package = "test.v1"
            $0.syntax = syntax
            $0.messageType = messages
        }
    }

    /// Runs the plugin with a stand-in for protoc-gen-c; gives the response and what the stand-in
    /// was asked.
    private func run(_ file: File, _ parameter: String = "") throws -> (Response, Request?) {
        var asked: Request?
        let plugin = Plugin { bytes throws(GeneratorError) in
            do {
                let request = try Request(serializedBytes: bytes)
                asked = request
                let response = Response.with { response in
                    for name in request.fileToGenerate {
                        for suffix in [".pb-c.h", ".pb-c.c"] {
                            response.file.append(
                                .with { $0.name = String(name.dropLast(6)) + suffix })
                        }
                    }
                }
                return try response.serializedBytes()
            } catch {
                throw GeneratorError("\(error)")
            }
        }
        let request = Request.with {
            $0.fileToGenerate = [file.name]
            $0.parameter = parameter
            $0.protoFile = [file]
        }
        let answer = try plugin.respond(to: try request.serializedBytes())
        return (try Response(serializedBytes: answer), asked)
    }

    private func swift(_ file: File, _ parameter: String = "Visibility=public") throws -> String {
        let response = try run(file, parameter).0
        #expect(!response.hasError, "\(response.error)")
        return response.file.first { $0.name.hasSuffix(".swift") }?.content ?? ""
    }

    @Test func filesOfOneRun() throws {
        let response = try run(
            file([]), "CModule=CTest,CDir=C,SwiftDir=S,FileNaming=PathToUnderscores"
        ).0
        #expect(response.supportedFeatures == 1)
        #expect(
            response.file.map(\.name) == [
                "C/include/dir_test.pb-c.h", "C/dir_test.pb-c.c", "C/include/CTest.h",
                "C/include/module.modulemap", "S/dir_test.pb.swift",
            ])
        #expect(response.file[2].content == "#include \"dir_test.pb-c.h\"\n")
    }

    @Test(arguments: [
        "Visibility=secret", "Nonsense=1", "Visibility", "CModule=a b", "CDir=../x", "CDir=/x",
        "Output=Rust", "FileNaming=Odd", "Module=x", "CPrefix=Big",
    ])
    func wrongSettingsAreRefused(_ parameter: String) throws {
        let response = try run(file([]), parameter).0
        #expect(response.hasError && response.file.isEmpty)
    }

    @Test func editionsAreRefusedByName() throws {
        let response = try run(file([], "editions")).0
        #expect(response.error.contains("dir/test.proto") && response.error.contains("editions"))
    }

    @Test func loweringKeepsTheWireFormat() throws {
        var optional = field("maybe", 4, .int32)
        optional.proto3Optional = true
        optional.oneofIndex = 1
        var member = field("choice", 5, .string)
        member.oneofIndex = 0
        let message = Message.with {
            $0.name = "M"
            $0.field = [
                field("base", 1, .string), field("n_foo", 2, .sint64),
                field("foo", 3, .int32, .repeated), optional, member,
            ]
            $0.oneofDecl = [.with { $0.name = "pick" }, .with { $0.name = "_maybe" }]
        }
        let request = try #require(try run(file([message])).1)
        let lowered = try #require(request.protoFile.first?.messageType.first)
        #expect(request.protoFile.first?.syntax == "proto2")
        #expect(request.protoFile.first?.package == "ck.test.v1")
        #expect(lowered.field.map(\.name) == ["f1", "f2", "f3", "f4", "f5"])
        #expect(lowered.field.map(\.number) == [1, 2, 3, 4, 5])
        #expect(lowered.field.map(\.type) == [.bytes, .sint64, .int32, .int32, .bytes])
        #expect(lowered.field.map(\.options.packed) == [false, false, true, false, false])
        #expect(lowered.field.map(\.hasOneofIndex) == [false, false, false, false, true])
        #expect(lowered.oneofDecl.map(\.name) == ["o0"])
    }

    @Test func membersDiffer() throws {
        let message = Message.with {
            $0.name = "Clash"
            $0.field = [
                field("foo_bar", 1, .int32), field("fooBar", 2, .int32),
                field("FOO_BAR", 3, .int32), field("has_foo_bar", 4, .int32),
                field("class", 5, .string), field("unknown_fields", 6, .bytes),
            ]
        }
        let text = try swift(file([message], "proto2"))
        for declaration in [
            "public var fooBar: Int32", "public var fooBar_2: Int32",
            "public var fooBar_3: Int32", "public var hasFooBar_4: Int32",
            "public var `class`: String", "public var unknownFields_p: [UInt8]",
        ] {
            #expect(text.contains(declaration + " {"), "\(declaration)")
        }
    }

    @Test func recursiveFieldsAreBoxed() throws {
        var own = field("own", 1, .message)
        own.typeName = ".test.v1.Tree"
        var many = field("many", 2, .message, .repeated)
        many.typeName = ".test.v1.Tree"
        let text = try swift(
            file([
                .with {
                    $0.name = "Tree"
                    $0.field = [own, many]
                }
            ]))
        #expect(text.contains("_own: ChaskiProtobuf.Boxed<Test_V1_Tree>?"))
        #expect(text.contains("public var many: [Test_V1_Tree] = []"))
    }

    @Test func commentsBecomeDocumentation() throws {
        var proto = file([
            .with {
                $0.name = "M"
                $0.field = [field("a", 1, .int32)]
            }
        ])
        proto.sourceCodeInfo.location = [
            .with {
                $0.path = [4, 0]
                $0.leadingComments = " What it is.\n\n More.\n"
            },
            .with {
                $0.path = [4, 0, 2, 0]
                $0.trailingComments = " In bytes.\n"
            },
        ]
        let text = try swift(proto)
        #expect(text.contains("/// What it is.\n///\n/// More.\npublic struct Test_V1_M"))
        #expect(text.contains("    /// In bytes.\n    public var a: Int32 = 0"))
    }

    @Test func enumsOpenAndClosed() throws {
        let kind = Google_Protobuf_EnumDescriptorProto.with { kind in
            kind.name = "Kind"
            for (name, number) in [("KIND_NONE", 0), ("KIND_ONE", 1), ("KIND_UNO", 1)] {
                kind.value.append(
                    .with {
                        $0.name = name
                        $0.number = Int32(number)
                    })
            }
        }
        var proto = file([])
        proto.enumType = [kind]
        let open = try swift(proto)
        #expect(open.contains("public enum Test_V1_Kind: ChaskiProtobuf.Enum {"))
        #expect(open.contains("case UNRECOGNIZED(Int32)"))
        #expect(open.contains("public static let uno = Self.one"))
        proto.syntax = "proto2"
        let closed = try swift(proto)
        #expect(closed.contains("public init?(rawValue: Int32)"))
        #expect(!closed.contains("UNRECOGNIZED"))
    }

    @Test func outputIsTheSameEachTime() throws {
        let message = Message.with {
            $0.name = "M"
            $0.field = (1...60).map { field("field_\($0)", $0, .string) }
        }
        #expect(try swift(file([message])) == swift(file([message])))
    }
}
