/// A .proto file, resolved: what the generators read.
final class FileModel {
    let name: String
    let package: String
    /// True for proto3: enums are open and singular fields have no presence by default.
    let isProto3: Bool
    var messages: [MessageModel] = []
    var enums: [EnumModel] = []
    var services: [ServiceModel] = []
    var dependencies: [String] = []
    var publicDependencies: [String] = []
    /// The file's name in the lowered request.
    var loweredName = ""
    /// First word of the C names.
    var cPrefix = ""
    /// What the names of top-level types begin with.
    var typePrefix = ""
    /// The comments at the file's top.
    var comment = ""

    init(name: String, package: String, isProto3: Bool) {
        self.name = name
        self.package = package
        self.isProto3 = isProto3
    }

    /// All messages, outer ones before inner ones.
    var allMessages: [MessageModel] { messages.flatMap(\.withNested) }
}

/// What a .proto file says of any of its elements.
struct Remarks {
    var comment = ""
    var isDeprecated = false
    /// `file.proto:line`.
    var place = ""

    /// The comment as documentation, with a note where the compiler gets no attribute.
    var noted: String {
        guard isDeprecated else { return comment }
        return (comment.isEmpty ? "" : comment + "\n\n") + " - Warning: Deprecated."
    }
}

/// A message or enum type.
class TypeModel {
    /// `package.Outer.Message`.
    let fullName: String
    /// The type's name in its scope.
    var swiftName: String
    /// The message around it, if any.
    private(set) weak var outer: MessageModel?
    unowned let file: FileModel
    var remarks = Remarks()

    init(fullName: String, swiftName: String, outer: MessageModel?, file: FileModel) {
        self.fullName = fullName
        self.swiftName = swiftName
        self.outer = outer
        self.file = file
    }

    /// The name from anywhere in the module.
    var swiftPath: String { outer.map { $0.swiftPath + "." + swiftName } ?? swiftName }

    /// The type itself or the outermost one around it.
    var outermost: TypeModel { outer?.outermost ?? self }
}

/// A message type.
final class MessageModel: TypeModel {
    let loweredName: String
    /// `ck.package.Outer.Message`, as protoc-gen-c gets it.
    let loweredFullName: String
    let isMapEntry: Bool
    var fields: [FieldModel] = []
    var oneofs: [OneofModel] = []
    var messages: [MessageModel] = []
    var enums: [EnumModel] = []
    /// Estimate of `MemoryLayout.size`, from `Layout`.
    var inlineBytes: Int?

    init(
        fullName: String, swiftName: String, outer: MessageModel?, file: FileModel,
        loweredName: String, loweredFullName: String, isMapEntry: Bool
    ) {
        self.loweredName = loweredName
        self.loweredFullName = loweredFullName
        self.isMapEntry = isMapEntry
        super.init(fullName: fullName, swiftName: swiftName, outer: outer, file: file)
    }

    var cStruct: String { Naming.cStruct(loweredFullName) }
    var cFunction: String { Naming.cFunction(loweredFullName) }

    /// The message and all within it.
    var withNested: [MessageModel] { [self] + messages.flatMap(\.withNested) }
}

/// An enum type.
final class EnumModel: TypeModel {
    struct Value {
        var name: String
        var swiftName: String
        var number: Int32
        var remarks: Remarks
    }

    let isOpen: Bool
    var values: [Value] = []

    init(
        fullName: String, swiftName: String, outer: MessageModel?, file: FileModel, isOpen: Bool
    ) {
        self.isOpen = isOpen
        super.init(fullName: fullName, swiftName: swiftName, outer: outer, file: file)
    }

    /// The values that are not aliases of an earlier one.
    var canonical: [Value] {
        var seen: Set<Int32> = []
        return values.filter { seen.insert($0.number).inserted }
    }
}

/// A oneof of the .proto file; the ones that protoc invents for proto3 `optional` are no oneofs.
struct OneofModel {
    var name: String
    /// The property and, after `OneOf_`, the enum.
    var swiftName: String
    var typeName: String
    var comment: String
    /// Indices of the members in the message's fields.
    var members: [Int] = []
}

/// The type of a field's values.
enum FieldKind {
    case double, float, int64, uint64, int32, fixed64, fixed32, bool, string, bytes
    case uint32, sfixed32, sfixed64, sint32, sint64
    case message(MessageModel)
    case group(MessageModel)
    case enumeration(EnumModel)

    var message: MessageModel? {
        switch self {
        case .message(let message), .group(let message): message
        default: nil
        }
    }

    /// The message or enum.
    var type: TypeModel? {
        if case .enumeration(let model) = self { model } else { message }
    }

    var isGroup: Bool {
        if case .group = self { true } else { false }
    }
}

/// How many values a field has, and whether absence shows.
indirect enum FieldShape {
    /// Absent and default are the same.
    case implicit
    case explicit
    case required
    case repeated(packed: Bool)
    case map(key: FieldModel, value: FieldModel, entry: MessageModel)
    /// A member of the message's oneof with this index.
    case member(Int)
}

/// A field.
struct FieldModel {
    var name: String
    var number: Int32
    var kind: FieldKind
    var shape: FieldShape
    /// The property, not quoted.
    var swiftName: String
    /// The default as a Swift expression, where the .proto file gives one.
    var defaultValue: String?
    var remarks = Remarks()
    /// True when the message lies behind a reference.
    var isBoxed = false

    /// The C struct's member; a group is named apart, as the runtime wants to know.
    var cName: String { (kind.isGroup ? "g" : "f") + String(number) }

    /// The types whose names the field's Swift declaration holds.
    var types: [TypeModel] {
        if case .map(let key, let value, _) = shape { return key.types + value.types }
        return kind.type.map { [$0] } ?? []
    }
}

/// A service and its methods.
struct ServiceModel {
    struct Method {
        var name: String
        /// The property or function, not quoted.
        var swiftName: String
        var input: MessageModel
        var output: MessageModel
        var clientStreams: Bool
        var serverStreams: Bool
        var isIdempotent: Bool
        var remarks: Remarks
    }

    var name: String
    /// `package.Service`.
    var fullName: String
    var swiftName: String
    var methods: [Method]
    var remarks: Remarks
}
