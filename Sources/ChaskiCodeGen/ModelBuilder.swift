import ChaskiMessages

/// Resolves descriptors into the model: type references become objects, names become Swift's.
struct ModelBuilder {
    typealias FileProto = Google_Protobuf_FileDescriptorProto
    typealias MessageProto = Google_Protobuf_DescriptorProto
    typealias FieldProto = Google_Protobuf_FieldDescriptorProto
    typealias EnumProto = Google_Protobuf_EnumDescriptorProto

    private let options: GeneratorOptions
    private(set) var files: [FileModel] = []
    /// By full name with a dot in front, as references are written.
    private(set) var messages: [String: MessageModel] = [:]
    private(set) var enums: [String: EnumModel] = [:]

    /// Builds the model of all `protos`, which come in the order of their dependencies.
    static func build(
        _ protos: [FileProto], options: GeneratorOptions
    ) throws(GeneratorError) -> [FileModel] {
        var builder = ModelBuilder(options: options)
        for proto in protos { try builder.declare(proto) }
        for (proto, file) in zip(protos, builder.files) { try builder.resolve(proto, file) }
        precondition(builder.files.count == protos.count, "a file was lost")
        TypeNames.makeVisible(builder.files)
        for file in builder.files { file.allMessages.forEach(MemberNames.makeUnique) }
        Layout.decideBoxes(builder.files)
        return builder.files
    }

    private init(options: GeneratorOptions) {
        self.options = options
    }

    private mutating func declare(_ proto: FileProto) throws(GeneratorError) {
        let source = SourceInfo(proto)
        guard ["", "proto2", "proto3"].contains(proto.syntax) else {
            let path = proto.syntax == "editions" ? SourceInfo.edition : SourceInfo.syntax
            throw GeneratorError(
                "\(source.place(path)): \(proto.syntax) are not supported; use proto2 or proto3")
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
        file.comment = source.header
        let hasPrefix = proto.hasOptions && proto.options.hasSwiftPrefix
        file.typePrefix = Naming.typePrefix(
            package: proto.package, swiftPrefix: hasPrefix ? proto.options.swiftPrefix : nil)
        file.cPrefix = options.cPrefix(ofFile: proto.name)
        let scope = Scope(
            file: file, outer: nil, fullName: proto.package,
            lowered: Naming.loweredPackage(proto.package, prefix: file.cPrefix), path: [],
            source: source, siblings: proto.messageType.map(\.name) + proto.enumType.map(\.name))
        for (index, message) in proto.messageType.enumerated() {
            file.messages.append(declare(message, scope.inside(4, index)))
        }
        for (index, enumeration) in proto.enumType.enumerated() {
            file.enums.append(declare(enumeration, scope.inside(5, index)))
        }
        files.append(file)
    }

    /// Where a type is declared.
    private struct Scope {
        var file: FileModel
        var outer: MessageModel?
        var fullName: String
        var lowered: String
        var path: [Int32]
        var source: SourceInfo
        /// The names of all types in the scope, as in the .proto file.
        var siblings: [String]

        func inside(_ field: Int32, _ index: Int) -> Scope {
            var scope = self
            scope.path += [field, Int32(truncatingIfNeeded: index)]
            return scope
        }

        func qualified(_ name: String) -> String {
            fullName.isEmpty ? name : fullName + "." + name
        }

        func swift(_ name: String, isEnum: Bool) -> String {
            let prefix = outer == nil ? file.typePrefix : ""
            var result = Naming.type(prefix + name, isEnum: isEnum)
            guard result != prefix + name else { return result }
            while siblings.contains(result) { result += "_" }
            return result
        }

        func remarks(_ isDeprecated: Bool) -> Remarks {
            Remarks(
                comment: source.comment(path), isDeprecated: isDeprecated,
                place: source.place(path))
        }
    }

    private mutating func declare(_ proto: MessageProto, _ scope: Scope) -> MessageModel {
        let fullName = scope.qualified(proto.name)
        let lowered = Naming.loweredMessage(proto.name, fullName: fullName)
        let message = MessageModel(
            fullName: fullName, swiftName: scope.swift(proto.name, isEnum: false),
            outer: scope.outer, file: scope.file, loweredName: lowered,
            loweredFullName: scope.lowered + "." + lowered,
            isMapEntry: proto.hasOptions && proto.options.mapEntry)
        message.remarks = scope.remarks(proto.hasOptions && proto.options.deprecated)
        messages["." + fullName] = message
        var inner = scope
        inner.outer = message
        inner.fullName = fullName
        inner.lowered = message.loweredFullName
        inner.siblings = proto.nestedType.map(\.name) + proto.enumType.map(\.name)
        for (index, nested) in proto.nestedType.enumerated() {
            message.messages.append(declare(nested, inner.inside(3, index)))
        }
        for (index, nested) in proto.enumType.enumerated() {
            message.enums.append(declare(nested, inner.inside(4, index)))
        }
        return message
    }

    private mutating func declare(_ proto: EnumProto, _ scope: Scope) -> EnumModel {
        let fullName = scope.qualified(proto.name)
        let model = EnumModel(
            fullName: fullName, swiftName: scope.swift(proto.name, isEnum: true),
            outer: scope.outer, file: scope.file, isOpen: scope.file.isProto3)
        model.remarks = scope.remarks(proto.hasOptions && proto.options.deprecated)
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
                    remarks: scope.inside(2, index)
                        .remarks(value.hasOptions && value.options.deprecated)))
        }
        enums["." + fullName] = model
        return model
    }
}
