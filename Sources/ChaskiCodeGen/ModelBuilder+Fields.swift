import ChaskiMessages

/// The second pass: what refers to types.
extension ModelBuilder {
    func resolve(_ proto: FileProto, _ file: FileModel) throws(GeneratorError) {
        let source = SourceInfo(proto)
        for (index, (message, model)) in zip(proto.messageType, file.messages).enumerated() {
            try resolve(message, model, source, [4, Int32(truncatingIfNeeded: index)])
        }
        let types = file.messages.map(\.swiftName) + file.enums.map(\.swiftName)
        for (index, service) in proto.service.enumerated() {
            var model = try resolve(service, file, source, [6, Int32(truncatingIfNeeded: index)])
            let others = types + file.services.map(\.swiftName)
            if others.contains(model.swiftName) { model.swiftName += "Service" }
            while others.contains(model.swiftName) { model.swiftName += "_" }
            file.services.append(model)
        }
    }

    private func resolve(
        _ proto: Google_Protobuf_ServiceDescriptorProto, _ file: FileModel, _ source: SourceInfo,
        _ path: [Int32]
    ) throws(GeneratorError) -> ServiceModel {
        let fullName = file.package.isEmpty ? proto.name : file.package + "." + proto.name
        var methods: [ServiceModel.Method] = []
        var used = ServiceGenerator.reservedNames
        for (index, method) in proto.method.enumerated() {
            let methodPath = path + [2, Int32(truncatingIfNeeded: index)]
            let place = source.place(methodPath)
            guard let input = messages[method.inputType], let output = messages[method.outputType]
            else {
                throw GeneratorError("\(place): \(fullName).\(method.name): no such message")
            }
            var name = Naming.lowerCamel(method.name)
            while !used.insert(name).inserted { name += "_" }
            methods.append(
                ServiceModel.Method(
                    name: method.name, swiftName: name, input: input, output: output,
                    clientStreams: method.clientStreaming, serverStreams: method.serverStreaming,
                    isIdempotent: method.hasOptions
                        && method.options.idempotencyLevel != .idempotencyUnknown,
                    remarks: Remarks(
                        comment: source.comment(methodPath),
                        isDeprecated: method.hasOptions && method.options.deprecated,
                        place: place)))
        }
        return ServiceModel(
            name: proto.name, fullName: fullName,
            swiftName: Naming.type(file.typePrefix + proto.name, isEnum: false), methods: methods,
            remarks: Remarks(
                comment: source.comment(path),
                isDeprecated: proto.hasOptions && proto.options.deprecated,
                place: source.place(path)))
    }

    private func resolve(
        _ proto: MessageProto, _ model: MessageModel, _ source: SourceInfo, _ path: [Int32]
    ) throws(GeneratorError) {
        for (index, (nested, inner)) in zip(proto.nestedType, model.messages).enumerated() {
            try resolve(nested, inner, source, path + [3, Int32(truncatingIfNeeded: index)])
        }
        // protoc puts the oneofs it invents for proto3 `optional` behind the real ones.
        let invented = Set(proto.field.filter(\.proto3Optional).map(\.oneofIndex))
        for (index, oneof) in proto.oneofDecl.enumerated()
        where !invented.contains(Int32(truncatingIfNeeded: index)) {
            model.oneofs.append(
                OneofModel(
                    name: oneof.name, swiftName: Naming.property(oneof.name),
                    typeName: "OneOf_" + Naming.upperCamel(oneof.name),
                    comment: source.comment(path + [8, Int32(truncatingIfNeeded: index)])))
        }
        for (index, field) in proto.field.enumerated() {
            let fieldPath = path + [2, Int32(truncatingIfNeeded: index)]
            let place = source.place(fieldPath)
            var resolved = try resolve(field, model, place)
            resolved.remarks = Remarks(
                comment: source.comment(fieldPath),
                isDeprecated: field.hasOptions && field.options.deprecated, place: place)
            if case .member(let oneof) = resolved.shape {
                guard model.oneofs.indices.contains(oneof) else {
                    throw GeneratorError("\(place): \(model.fullName).\(field.name): no such oneof")
                }
                model.oneofs[oneof].members.append(model.fields.count)
            }
            model.fields.append(resolved)
        }
    }

    private func resolve(
        _ proto: FieldProto, _ model: MessageModel, _ place: String
    ) throws(GeneratorError) -> FieldModel {
        let name = "\(place): \(model.fullName).\(proto.name)"
        guard (1...536_870_911).contains(proto.number) else {
            throw GeneratorError("\(name): \(proto.number) is no field number")
        }
        guard let kind = kind(proto) else {
            throw GeneratorError("\(name): unknown type \(proto.typeName)")
        }
        guard let shape = shape(proto, kind, model) else {
            throw GeneratorError("\(name): a map without key or value")
        }
        // A group's field is the lower-case form of its message's name.
        let group = kind.isGroup ? kind.message.map { Self.last($0.fullName) } : nil
        return FieldModel(
            name: proto.name, number: proto.number, kind: kind, shape: shape,
            swiftName: Naming.property(group ?? proto.name),
            defaultValue: proto.hasDefaultValue
                ? DefaultValue.expression(proto.defaultValue, kind) : nil)
    }

    private static func last(_ fullName: String) -> String {
        fullName.split(separator: ".").last.map(String.init) ?? fullName
    }

    private func shape(
        _ proto: FieldProto, _ kind: FieldKind, _ model: MessageModel
    ) -> FieldShape? {
        if proto.label == .repeated {
            if case .message(let entry) = kind, entry.isMapEntry {
                guard let key = entry.fields.first(where: { $0.number == 1 }),
                    let value = entry.fields.first(where: { $0.number == 2 })
                else { return nil }
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

    private func kind(_ proto: FieldProto) -> FieldKind? {
        guard proto.hasType else { return nil }
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
        case .message: return messages[proto.typeName].map { .message($0) }
        case .group: return messages[proto.typeName].map { .group($0) }
        case .enum: return enums[proto.typeName].map { .enumeration($0) }
        }
    }
}
