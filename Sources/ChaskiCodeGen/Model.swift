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
    /// What the names of top-level types begin with.
    var typePrefix = ""
    var comment = ""

    init(name: String, package: String, isProto3: Bool) {
        self.name = name
        self.package = package
        self.isProto3 = isProto3
    }
}

/// A message type.
final class MessageModel {
    /// `package.Outer.Message`.
    let fullName: String
    /// The type's name in its scope.
    let swiftName: String
    /// The name from anywhere in the module.
    let swiftPath: String
    /// `ck.package.Outer.Message`, as protoc-gen-c gets it.
    let loweredFullName: String
    let loweredName: String
    let isMapEntry: Bool
    unowned let file: FileModel
    var fields: [FieldModel] = []
    var oneofs: [OneofModel] = []
    var messages: [MessageModel] = []
    var enums: [EnumModel] = []
    var comment = ""
    /// Estimate of `MemoryLayout.size`, from `Layout`.
    var inlineBytes: Int?

    init(
        fullName: String, swiftName: String, swiftPath: String, loweredName: String,
        loweredFullName: String, isMapEntry: Bool, file: FileModel
    ) {
        self.fullName = fullName
        self.swiftName = swiftName
        self.swiftPath = swiftPath
        self.loweredName = loweredName
        self.loweredFullName = loweredFullName
        self.isMapEntry = isMapEntry
        self.file = file
    }

    var cStruct: String { Naming.cStruct(loweredFullName) }
    var cFunction: String { Naming.cFunction(loweredFullName) }
}

/// An enum type.
final class EnumModel {
    struct Value {
        var name: String
        var swiftName: String
        var number: Int32
        var comment: String
    }

    let fullName: String
    let swiftName: String
    let swiftPath: String
    let isOpen: Bool
    var values: [Value] = []
    var comment = ""

    init(fullName: String, swiftName: String, swiftPath: String, isOpen: Bool) {
        self.fullName = fullName
        self.swiftName = swiftName
        self.swiftPath = swiftPath
        self.isOpen = isOpen
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
    var comment: String
    /// True when the message lies behind a reference.
    var isBoxed = false

    /// The C struct's member; a group is named apart, as the runtime wants to know.
    var cName: String { (kind.isGroup ? "g" : "f") + String(number) }
}

/// A service and its methods.
struct ServiceModel {
    struct Method {
        var name: String
        var input: MessageModel
        var output: MessageModel
        var clientStreams: Bool
        var serverStreams: Bool
        var comment: String
    }

    var name: String
    var fullName: String
    var methods: [Method]
    var comment: String
}
