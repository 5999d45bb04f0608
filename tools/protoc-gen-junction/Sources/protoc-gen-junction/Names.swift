// What things of a .proto are called in Swift, and in the C of protoc-c.
import SwiftProtobufPluginLibrary

/// `junction.v1` becomes `JunctionV1`.
func namespace(ofPackage package: String) -> String {
    package.isEmpty ? "Proto" : package.split(separator: ".").map { upperCamel(String($0)) }.joined()
}

/// `json_schema` becomes `JsonSchema`.
func upperCamel(_ name: String) -> String {
    name.split(separator: "_").map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
}

/// `json_schema` becomes `jsonSchema`; a name that starts upper-case starts lower-case then.
func lowerCamel(_ name: String) -> String {
    let upper = upperCamel(name)
    return upper.prefix(1).lowercased() + upper.dropFirst()
}

/// Member names that Swift or the generated code has a meaning for already.
private let takenMembers: Set<String> = [
    "init", "self", "Self", "Type", "raw", "descriptor", "stored", "encodedSize", "encode", "encoded",
    "fullName",
    "view", "hash", "hashValue", "rawValue", "unrecognized", "channel",
]

/// Type names that Swift has a meaning for already, or that the generated code refers to.
private let takenTypes: Set<String> = [
    "Any", "Protocol", "Self", "Type", "View", "Bool", "Double", "Float", "Int", "Int32", "Int64", "String",
    "UInt8",
    "UInt32", "UInt64", "Hashable", "RawRepresentable", "Sendable", "UnsafeMutablePointer", "Arena",
    "ByteView",
    "FieldElement", "MessageView", "ProtobufMessage", "Repeated", "Text",
]

private let keywords: Set<String> = [
    "associatedtype", "class", "deinit", "enum", "extension", "fileprivate", "func", "import", "inout",
    "internal",
    "let", "operator", "private", "precedencegroup", "protocol", "public", "rethrows", "static", "struct",
    "subscript", "typealias", "var", "break", "case", "catch", "continue", "default", "defer", "do", "else",
    "fallthrough", "for", "guard", "if", "in", "repeat", "return", "throw", "switch", "where", "while", "as",
    "false",
    "is", "nil", "super", "throws", "true", "try", "Any",
]

/// A property, case or method name that compiles.
private func memberName(_ name: String) -> String {
    if takenMembers.contains(name) { return name + "_" }
    return keywords.contains(name) ? "`\(name)`" : name
}

private func swiftTypeName(_ name: String) -> String { takenTypes.contains(name) ? name + "_" : name }

extension ProvidesSourceCodeLocation {
    var hasDocs: Bool { !protoSourceComments().isEmpty }
}

extension Descriptor {
    /// The Swift name with its namespace, such as `JunctionV1.Outer.Inner`.
    var swiftName: String {
        (containingType?.swiftName ?? namespace(ofPackage: file.package)) + "." + simpleName
    }
    var simpleName: String { swiftTypeName(name) }
    /// The struct that protoc-c makes, and the function that initialises it.
    var cName: String { cTypeName(fullName) }
    var cInit: String {
        fullName.split(separator: ".").map { snakeCase(String($0)) }.joined(separator: "__") + "__init"
    }

    /// The fields that are properties of their own, not cases of a oneof.
    var plainFields: [FieldDescriptor] { fields.filter { $0.containingOneof == nil || $0.isOptional } }

    /// What a map's entry is made of; nil for other messages.
    var keyAndValue: (key: FieldDescriptor, value: FieldDescriptor)? {
        options.mapEntry ? (fields[0], fields[1]) : nil
    }

    /// Whether a field of this message leads to `other` without a repeated field between.
    fileprivate func contains(_ other: Descriptor, seen: Set<String> = []) -> Bool {
        if seen.contains(fullName) { return false }
        let seen = seen.union([fullName])
        return fields.contains { field in
            guard field.isMessage, !field.isRepeated else { return false }
            return field.messageType === other || field.messageType.contains(other, seen: seen)
        }
    }
}

extension EnumDescriptor {
    var swiftName: String {
        (containingType?.swiftName ?? namespace(ofPackage: file.package)) + "." + simpleName
    }
    var simpleName: String { swiftTypeName(name) }
    var cName: String { cTypeName(fullName) }

    /// `FINISH_REASON_STOP` of `FinishReason` becomes `stop`. protoc refuses values that would be
    /// called alike so, unless they are aliases.
    func caseName(_ value: EnumValueDescriptor) -> String {
        let prefix = snakeCase(name).uppercased() + "_"
        var short = value.name
        if short.hasPrefix(prefix), let next = short.dropFirst(prefix.count).first, !next.isNumber {
            short = String(short.dropFirst(prefix.count))
        }
        return memberName(lowerCamel(short.lowercased()))
    }
}

extension FieldDescriptor {
    var isMessage: Bool { type == .message || type == .group }
    var swiftName: String { memberName(lowerCamel(name)) }
    /// The case of the field's oneof, which is held as an Optional.
    var caseName: String { ["none", "some"].contains(swiftName) ? swiftName + "_" : swiftName }
    /// protoc-c lower-cases names and puts `_` behind C++ keywords.
    var cName: String {
        keywords.contains(plainCName) || takenMembers.contains(plainCName) ? "`\(plainCName)`" : plainCName
    }
    /// How many elements a repeated field has.
    var cCount: String { "n_" + plainCName }
    private var plainCName: String {
        cKeywords.contains(name.lowercased()) ? name.lowercased() + "_" : name.lowercased()
    }
    /// Whether the field stands in a oneof for presence only.
    var isOptional: Bool { containingOneof?.isPresence == true }

    /// Whether a value of `message` cannot hold this field inline, since the field leads back to it.
    func isBoxed(in message: Descriptor) -> Bool {
        isMessage && !isRepeated && (messageType === message || messageType.contains(message))
    }
}

extension OneofDescriptor {
    var isPresence: Bool { fields.count == 1 && name.hasPrefix("optional_") }
    var enumName: String { "OneOf_" + upperCamel(name) }
    var swiftName: String { memberName(lowerCamel(name)) }
    var cCaseField: String { snakeCase(name) + "_case" }
}

extension MethodDescriptor {
    var swiftName: String { memberName(name.prefix(1).lowercased() + name.dropFirst()) }
    var path: String { "/\(service.fullName)/\(name)" }
}

private func cTypeName(_ fullName: String) -> String {
    fullName.split(separator: ".").map { upperCamel(String($0)) }.joined(separator: "__")
}

/// protoc-c's CamelToLower: `CompleteRequest` becomes `complete_request`.
private func snakeCase(_ name: String) -> String {
    var lower = ""
    var wasUpper = true
    for character in name {
        if character.isUppercase {
            if !wasUpper { lower += "_" }
            lower += character.lowercased()
            wasUpper = true
        } else {
            lower.append(character)
            wasUpper = false
        }
    }
    return lower
}

/// protoc-c 1.4.1's kKeywordTable.
private let cKeywords: Set<String> = [
    "and", "and_eq", "asm", "auto", "bitand", "bitor", "bool", "break", "case", "catch", "char", "class",
    "compl",
    "const", "const_cast", "continue", "default", "delete", "do", "double", "dynamic_cast", "else", "enum",
    "explicit", "extern", "false", "float", "for", "friend", "goto", "if", "inline", "int", "long", "mutable",
    "namespace", "new", "not", "not_eq", "operator", "or", "or_eq", "private", "protected", "public",
    "register",
    "reinterpret_cast", "return", "short", "signed", "sizeof", "static", "static_cast", "struct", "switch",
    "template", "this", "throw", "true", "try", "typedef", "typeid", "typename", "union", "unsigned", "using",
    "virtual", "void", "volatile", "wchar_t", "while", "xor", "xor_eq",
]
