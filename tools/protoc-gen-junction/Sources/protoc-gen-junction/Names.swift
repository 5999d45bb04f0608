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

/// Names that a generated view or value has already.
private let taken: Set<String> = ["raw", "descriptor", "encodedSize", "encode", "encoded", "fullName", "view", "base", "hash", "hashValue"]
private let keywords: Set<String> = [
    "associatedtype", "class", "deinit", "enum", "extension", "fileprivate", "func", "import", "init", "inout",
    "internal", "let", "open", "operator", "private", "precedencegroup", "protocol", "public", "rethrows",
    "static", "struct", "subscript", "typealias", "var", "break", "case", "catch", "continue", "default",
    "defer", "do", "else", "fallthrough", "for", "guard", "if", "in", "repeat", "return", "throw", "switch",
    "where", "while", "as", "false", "is", "nil", "self", "super", "throws", "true", "try", "Any", "Self",
]

/// A property, case or method name that compiles.
func safe(_ name: String) -> String {
    if taken.contains(name) { return name + "_" }
    return keywords.contains(name) ? "`\(name)`" : name
}

extension Descriptor {
    /// The Swift name within its namespace, such as `JunctionV1.Outer.Inner`.
    var swiftName: String {
        (containingType?.swiftName ?? namespace(ofPackage: file.package)) + "." + simpleName
    }
    var simpleName: String { safeTypeName(name) }
    /// The struct that protoc-c makes.
    var cName: String { cTypeName(fullName) }
    var cInit: String { fullName.split(separator: ".").map { camelToLower(String($0)) }.joined(separator: "__") + "__init" }

    /// Whether a field of this message leads back to it without a repeated field between.
    func contains(_ other: Descriptor, seen: Set<String> = []) -> Bool {
        if seen.contains(fullName) { return false }
        let seen = seen.union([fullName])
        return fields.contains { field in
            guard field.isMessage, !field.isRepeated else { return false }
            return field.messageType.fullName == other.fullName || field.messageType.contains(other, seen: seen)
        }
    }
}

extension EnumDescriptor {
    var swiftName: String {
        (containingType?.swiftName ?? namespace(ofPackage: file.package)) + "." + safeTypeName(name)
    }
    var cName: String { cTypeName(fullName) }

    /// `FINISH_REASON_STOP` of `FinishReason` becomes `stop`.
    func caseName(_ value: EnumValueDescriptor) -> String {
        let prefix = camelToLower(name).uppercased() + "_"
        var short = value.name
        if short.uppercased().hasPrefix(prefix), let next = short.dropFirst(prefix.count).first, !next.isNumber {
            short = String(short.dropFirst(prefix.count))
        }
        let name = lowerCamel(short.lowercased())
        return safe(name == "unrecognized" ? "unrecognized_" : name)
    }
}

extension FieldDescriptor {
    var isMessage: Bool { type == .message || type == .group }
    var swiftName: String { safe(lowerCamel(name)) }
    /// protoc-c lower-cases names and puts `_` behind C++ keywords.
    var cName: String {
        let lower = name.lowercased()
        return cKeywords.contains(lower) ? lower + "_" : swiftEscaped(lower)
    }
    /// Whether the field alone is in its oneof, and the oneof is there only for presence.
    var isOptionalScalar: Bool {
        guard let oneof = containingOneof else { return false }
        return oneof.name.hasPrefix("optional_") && oneof.fields.count == 1
    }
}

extension OneofDescriptor {
    var isPresence: Bool { fields.count == 1 && name.hasPrefix("optional_") }
    var enumName: String { "OneOf_" + upperCamel(name) }
    var swiftName: String { safe(lowerCamel(name)) }
    var cCaseField: String { name.lowercased() + "_case" }
    var cCaseType: String { cTypeName(containingType.fullName) + "__" + upperCamel(name) + "Case" }
}

extension MethodDescriptor {
    var swiftName: String { safe(name.prefix(1).lowercased() + name.dropFirst()) }
    var path: String { "/\(service.fullName)/\(name)" }
}

private func safeTypeName(_ name: String) -> String {
    ["Type", "Self", "Protocol", "View", "Any"].contains(name) ? name + "_" : name
}

/// A C field name that Swift would take for a keyword.
private func swiftEscaped(_ name: String) -> String { keywords.contains(name) ? "`\(name)`" : name }

private func cTypeName(_ fullName: String) -> String {
    fullName.split(separator: ".").map { upperCamel(String($0)) }.joined(separator: "__")
}

/// protoc-c's CamelToLower: `CompleteRequest` becomes `complete_request`.
private func camelToLower(_ name: String) -> String {
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
    "and", "and_eq", "asm", "auto", "bitand", "bitor", "bool", "break", "case", "catch", "char", "class", "compl",
    "const", "const_cast", "continue", "default", "delete", "do", "double", "dynamic_cast", "else", "enum",
    "explicit", "extern", "false", "float", "for", "friend", "goto", "if", "inline", "int", "long", "mutable",
    "namespace", "new", "not", "not_eq", "operator", "or", "or_eq", "private", "protected", "public", "register",
    "reinterpret_cast", "return", "short", "signed", "sizeof", "static", "static_cast", "struct", "switch",
    "template", "this", "throw", "true", "try", "typedef", "typeid", "typename", "union", "unsigned", "using",
    "virtual", "void", "volatile", "wchar_t", "while", "xor", "xor_eq",
]
