#if BOOTSTRAP
    import SwiftProtobuf
    import SwiftProtobufPluginLibrary
#else
    import ChaskiMessages
#endif

/// Resolves descriptors into the model: type references become objects, names become Swift's.
struct ModelBuilder {
    typealias FileProto = Google_Protobuf_FileDescriptorProto
    typealias MessageProto = Google_Protobuf_DescriptorProto
    typealias FieldProto = Google_Protobuf_FieldDescriptorProto
    typealias EnumProto = Google_Protobuf_EnumDescriptorProto

    private let options: GeneratorOptions
    private(set) var files: [FileModel] = []
    private var messages: [String: MessageModel] = [:]
    private var enums: [String: EnumModel] = [:]

    /// Builds the model of all `protos`, which come in the order of their dependencies.
    static func build(
        _ protos: [FileProto], options: GeneratorOptions
    ) throws(GeneratorError) -> [FileModel] {
        var builder = ModelBuilder(options: options)
        for proto in protos { try builder.declare(proto) }
        for (proto, file) in zip(protos, builder.files) { try builder.resolve(proto, file) }
        Layout.decideBoxes(builder.files)
        return builder.files
    }

    private init(options: GeneratorOptions) {
        self.options = options
    }

    // MARK: First pass: names

    private mutating func declare(_ proto: FileProto) throws(GeneratorError) {
        guard proto.syntax != "editions" else {
            throw GeneratorError("\(proto.name): editions are not supported; use proto2 or proto3")
        }
        let file = FileModel(
            name: proto.name, package: proto.package, isProto3: proto.syntax == "proto3")
        file.dependencies = proto.dependency
        file.publicDependencies = proto.publicDependency.compactMap { index in
            proto.dependency.indices.contains(Int(index)) ? proto.dependency[Int(index)] : nil
        }
        let stem = proto.name.hasSuffix(".proto") ? String(proto.name.dropLast(6)) : proto.name
        var lowered = stem.replacing("/", with: "_")
        if files.contains(where: { $0.loweredName == lowered + ".proto" }) {
            lowered += "_" + Naming.hash(proto.name)
        }
        file.loweredName = lowered + ".proto"
        let comments = Comments(proto)
        file.comment = comments.detached
        let prefix = Naming.typePrefix(
            package: proto.package,
            swiftPrefix: proto.hasOptions && proto.options.hasSwiftPrefix
                ? proto.options.swiftPrefix : nil)
        file.typePrefix = prefix
        let scope = Scope(
            file: file, fullName: proto.package, prefix: prefix, swiftPath: "",
            lowered: Naming.loweredPackage(proto.package, prefix: options.cPrefix), path: [],
            comments: comments)
        for (index, message) in proto.messageType.enumerated() {
            file.messages.append(try declare(message, scope.inside(4, index)))
        }
        for (index, enumeration) in proto.enumType.enumerated() {
            file.enums.append(declare(enumeration, scope.inside(5, index)))
        }
        files.append(file)
    }

    /// Where a type is declared.
    private struct Scope {
        var file: FileModel
        var fullName: String
        var prefix: String
        var swiftPath: String
        var lowered: String
        var path: [Int32]
        var comments: Comments

        func inside(_ field: Int32, _ index: Int) -> Scope {
            var scope = self
            scope.path += [field, Int32(truncatingIfNeeded: index)]
            return scope
        }

        func qualified(_ name: String) -> String {
            fullName.isEmpty ? name : fullName + "." + name
        }

        func swift(_ name: String, isEnum: Bool) -> (name: String, path: String) {
            let name = Naming.type(prefix + name, isEnum: isEnum)
            return (name, swiftPath.isEmpty ? name : swiftPath + "." + name)
        }
    }

    private mutating func declare(
        _ proto: MessageProto, _ scope: Scope
    ) throws(GeneratorError) -> MessageModel {
        let fullName = scope.qualified(proto.name)
        let swift = scope.swift(proto.name, isEnum: false)
        let lowered = Naming.loweredMessage(proto.name, fullName: fullName)
        let message = MessageModel(
            fullName: fullName, swiftName: swift.name, swiftPath: swift.path, loweredName: lowered,
            loweredFullName: scope.lowered + "." + lowered,
            isMapEntry: proto.hasOptions && proto.options.mapEntry, file: scope.file)
        message.comment = scope.comments[scope.path]
        messages["." + fullName] = message
        var inner = scope
        inner.fullName = fullName
        inner.prefix = ""
        inner.swiftPath = swift.path
        inner.lowered = message.loweredFullName
        for (index, nested) in proto.nestedType.enumerated() {
            message.messages.append(try declare(nested, inner.inside(3, index)))
        }
        for (index, nested) in proto.enumType.enumerated() {
            message.enums.append(declare(nested, inner.inside(4, index)))
        }
        return message
    }

    private mutating func declare(_ proto: EnumProto, _ scope: Scope) -> EnumModel {
        let fullName = scope.qualified(proto.name)
        let swift = scope.swift(proto.name, isEnum: true)
        let model = EnumModel(
            fullName: fullName, swiftName: swift.name, swiftPath: swift.path,
            isOpen: scope.file.isProto3)
        model.comment = scope.comments[scope.path]
        let names = proto.value.map(\.name)
        let drop = Naming.casePrefix(ofEnum: proto.name, values: names)
        var used: Set<String> = []
        for (index, value) in proto.value.enumerated() {
            var name = Naming.enumCase(String(value.name.dropFirst(drop)))
            if !used.insert(name).inserted {
                name += value.number < 0 ? "_n\(-Int64(value.number))" : "_\(value.number)"
                while !used.insert(name).inserted { name += "_" }
            }
            model.values.append(
                EnumModel.Value(
                    name: value.name, swiftName: name, number: value.number,
                    comment: scope.comments[scope.inside(2, index).path]))
        }
        enums["." + fullName] = model
        return model
    }

    // MARK: Second pass: fields

    private mutating func resolve(_ proto: FileProto, _ file: FileModel) throws(GeneratorError) {
        let comments = Comments(proto)
        for (index, (message, model)) in zip(proto.messageType, file.messages).enumerated() {
            try resolve(message, model, comments, [4, Int32(truncatingIfNeeded: index)])
        }
        for (index, service) in proto.service.enumerated() {
            let path: [Int32] = [6, Int32(truncatingIfNeeded: index)]
            var methods: [ServiceModel.Method] = []
            for (position, method) in service.method.enumerated() {
                guard let input = messages[method.inputType],
                    let output = messages[method.outputType]
                else {
                    throw GeneratorError("\(file.name): \(service.name).\(method.name): no type")
                }
                methods.append(
                    ServiceModel.Method(
                        name: method.name, input: input, output: output,
                        clientStreams: method.clientStreaming,
                        serverStreams: method.serverStreaming,
                        comment: comments[path + [2, Int32(truncatingIfNeeded: position)]]))
            }
            let fullName =
                file.package.isEmpty ? service.name : file.package + "." + service.name
            file.services.append(
                ServiceModel(
                    name: service.name, fullName: fullName, methods: methods,
                    comment: comments[path]))
        }
    }

    private mutating func resolve(
        _ proto: MessageProto, _ model: MessageModel, _ comments: Comments, _ path: [Int32]
    ) throws(GeneratorError) {
        for (index, (nested, inner)) in zip(proto.nestedType, model.messages).enumerated() {
            try resolve(nested, inner, comments, path + [3, Int32(truncatingIfNeeded: index)])
        }
        // protoc puts the oneofs it invents for proto3 `optional` behind the real ones.
        let invented = Set(proto.field.filter(\.proto3Optional).map(\.oneofIndex))
        for (index, oneof) in proto.oneofDecl.enumerated()
        where !invented.contains(Int32(truncatingIfNeeded: index)) {
            model.oneofs.append(
                OneofModel(
                    name: oneof.name, swiftName: Naming.property(oneof.name),
                    typeName: "OneOf_" + Naming.upperCamel(oneof.name),
                    comment: comments[path + [8, Int32(truncatingIfNeeded: index)]]))
        }
        for (index, field) in proto.field.enumerated() {
            let fieldPath = path + [2, Int32(truncatingIfNeeded: index)]
            var resolved = try resolve(field, model)
            resolved.comment = comments[fieldPath]
            if case .member(let oneof) = resolved.shape {
                guard model.oneofs.indices.contains(oneof) else {
                    throw GeneratorError("\(model.fullName).\(field.name): no such oneof")
                }
                model.oneofs[oneof].members.append(model.fields.count)
            }
            model.fields.append(resolved)
        }
        MemberNames.makeUnique(model)
    }

    private func resolve(
        _ proto: FieldProto, _ model: MessageModel
    ) throws(GeneratorError) -> FieldModel {
        let kind = try self.kind(proto, model)
        // A group's field is the lower-case form of its message's name.
        let name = kind.isGroup ? kind.message.map { Self.last($0.fullName) } : nil
        return FieldModel(
            name: proto.name, number: proto.number, kind: kind,
            shape: try shape(proto, kind, model),
            swiftName: Naming.property(name ?? proto.name),
            defaultValue: proto.hasDefaultValue
                ? DefaultValue.expression(proto.defaultValue, kind) : nil,
            comment: "")
    }

    private static func last(_ fullName: String) -> String {
        fullName.split(separator: ".").last.map(String.init) ?? fullName
    }

    private func shape(
        _ proto: FieldProto, _ kind: FieldKind, _ model: MessageModel
    ) throws(GeneratorError) -> FieldShape {
        if proto.label == .repeated {
            if case .message(let entry) = kind, entry.isMapEntry {
                guard let key = entry.fields.first(where: { $0.number == 1 }),
                    let value = entry.fields.first(where: { $0.number == 2 })
                else {
                    throw GeneratorError("\(model.fullName).\(proto.name): no map entry")
                }
                return .map(key: key, value: value, entry: entry)
            }
            guard kind.isPackable else { return .repeated(packed: false) }
            let packs = proto.hasOptions && proto.options.hasPacked
            return .repeated(packed: packs ? proto.options.packed : model.file.isProto3)
        }
        if proto.label == .required { return .required }
        if proto.hasOneofIndex, !proto.proto3Optional { return .member(Int(proto.oneofIndex)) }
        let hasPresence = !model.file.isProto3 || proto.proto3Optional || kind.message != nil
        return hasPresence ? .explicit : .implicit
    }

    private func kind(
        _ proto: FieldProto, _ model: MessageModel
    ) throws(GeneratorError) -> FieldKind {
        switch proto.type {
        case .double: return .double
        case .float: return .float
        case .int64: return .int64
        case .uint64: return .uint64
        case .int32: return .int32
        case .fixed64: return .fixed64
        case .fixed32: return .fixed32
        case .bool: return .bool
        case .string: return .string
        case .bytes: return .bytes
        case .uint32: return .uint32
        case .sfixed32: return .sfixed32
        case .sfixed64: return .sfixed64
        case .sint32: return .sint32
        case .sint64: return .sint64
        case .message, .group:
            guard let message = messages[proto.typeName] else { break }
            return proto.type == .group ? .group(message) : .message(message)
        case .enum:
            guard let enumeration = enums[proto.typeName] else { break }
            return .enumeration(enumeration)
        }
        throw GeneratorError(
            "\(model.file.name): \(model.fullName).\(proto.name): unknown type \(proto.typeName)")
    }
}

/// The comments of a .proto file, by descriptor path.
struct Comments {
    private var texts: [[Int32]: String] = [:]
    /// The file's own: above `syntax`.
    private(set) var detached = ""

    init(_ proto: Google_Protobuf_FileDescriptorProto) {
        for location in proto.sourceCodeInfo.location {
            if location.path == [12] {
                detached = (location.leadingDetachedComments + [location.leadingComments])
                    .joined(separator: "\n")
            }
            let text =
                location.leadingComments.isEmpty
                ? location.trailingComments : location.leadingComments
            if !text.isEmpty, texts[location.path] == nil { texts[location.path] = text }
        }
    }

    subscript(path: [Int32]) -> String { texts[path] ?? "" }
}
