import ChaskiMessages

/// Rewrites files so that protoc-gen-c takes them and makes C that compiles, with the same wire
/// format.
///
/// Everything becomes proto2 without `required`, so that each singular field has a `has_` flag;
/// strings become bytes, enums int32, groups and map entries plain messages; fields are called
/// f<number> (groups g<number>), oneofs o<index>; packages and messages get names that
/// protoc-gen-c maps one to one. Services, enums, extensions, defaults, comments and options stay
/// behind. What that loses the Swift side knows from the model.
enum Lowering {
    /// `ProtobufCFileOptions` with `gen_pack_helpers = false`, as an extension of the file options:
    /// the runtime calls protobuf-c through descriptors.
    private static let fileOptions: [UInt8] = [0xDA, 0x3F, 0x02, 0x10, 0x00]

    /// The lowered form of `file`.
    static func lowered(
        _ file: FileModel
    ) throws(GeneratorError) -> Google_Protobuf_FileDescriptorProto {
        var proto = Google_Protobuf_FileDescriptorProto()
        proto.name = file.loweredName
        proto.package = Naming.loweredPackage(file.package, prefix: file.cPrefix)
        proto.syntax = "proto2"
        proto.dependency = used(by: file)
        proto.messageType = file.messages.map(lowered)
        do {
            proto.options = try Google_Protobuf_FileOptions(serializedBytes: fileOptions)
        } catch {
            throw GeneratorError("the options of \(file.name): \(error)")
        }
        return proto
    }

    /// The lowered names of the files whose messages `file` uses: an import for options or enums
    /// only would want a C header that nobody needs.
    private static func used(by file: FileModel) -> [String] {
        var result: [String] = []
        for field in file.allMessages.flatMap(\.fields) {
            guard let other = field.kind.message?.file, other !== file else { continue }
            if !result.contains(other.loweredName) { result.append(other.loweredName) }
        }
        return result.sorted()
    }

    private static func lowered(_ message: MessageModel) -> Google_Protobuf_DescriptorProto {
        var proto = Google_Protobuf_DescriptorProto()
        proto.name = message.loweredName
        proto.nestedType = message.messages.map(lowered)
        proto.oneofDecl = message.oneofs.indices.map { index in
            Google_Protobuf_OneofDescriptorProto.with { $0.name = "o\(index)" }
        }
        proto.field = message.fields.map(lowered)
        precondition(
            Set(proto.field.map(\.name)).count == proto.field.count, "fields of one C name")
        return proto
    }

    private static func lowered(_ field: FieldModel) -> Google_Protobuf_FieldDescriptorProto {
        var proto = Google_Protobuf_FieldDescriptorProto()
        proto.name = field.cName
        proto.number = field.number
        proto.label = .optional
        switch field.shape {
        case .repeated(let packed):
            proto.label = .repeated
            if packed { proto.options = Google_Protobuf_FieldOptions.with { $0.packed = true } }
        case .map:
            proto.label = .repeated
        case .member(let index):
            proto.oneofIndex = Int32(truncatingIfNeeded: index)
        case .implicit, .explicit, .required:
            break
        }
        switch field.kind {
        case .double: proto.type = .double
        case .float: proto.type = .float
        case .int64: proto.type = .int64
        case .uint64: proto.type = .uint64
        case .int32, .enumeration: proto.type = .int32
        case .fixed64: proto.type = .fixed64
        case .fixed32: proto.type = .fixed32
        case .bool: proto.type = .bool
        case .string, .bytes: proto.type = .bytes
        case .uint32: proto.type = .uint32
        case .sfixed32: proto.type = .sfixed32
        case .sfixed64: proto.type = .sfixed64
        case .sint32: proto.type = .sint32
        case .sint64: proto.type = .sint64
        case .message(let message), .group(let message):
            proto.type = .message
            proto.typeName = "." + message.loweredFullName
        }
        return proto
    }
}
