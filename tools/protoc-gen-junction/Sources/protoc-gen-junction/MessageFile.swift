// Writes the messages and enums of one .proto: each message as a value and as a view over protobuf-c memory.
import SwiftProtobufPluginLibrary

struct MessageFile {
    let file: FileDescriptor
    let options: Options
    var access: String { options.access }

    init(_ file: FileDescriptor, _ options: Options) {
        self.file = file
        self.options = options
    }

    func write(to source: inout Source) {
        for module in [options.cModule] + options.imports { source.line("\(access)import \(module)") }
        for item in file.enums { inNamespace(&source) { write(item, to: &$0) } }
        for item in file.messages { inNamespace(&source) { write(item, to: &$0) } }
    }

    private func inNamespace(_ source: inout Source, _ body: (inout Source) -> Void) {
        source.line("")
        source.block("extension \(namespace(ofPackage: file.package))", body)
    }

    /// A name of protoc-c. Without a package nothing tells it from the Swift type of the same name.
    private func c(_ name: String) -> String { file.package.isEmpty ? "\(options.cModule).\(name)" : name }

    // MARK: Enums

    private func write(_ item: EnumDescriptor, to source: inout Source) {
        let values = distinct(item.values, by: \.number)
        let aliases = distinct(item.values, by: item.caseName).filter { value in
            !values.contains { item.caseName($0) == item.caseName(value) }
        }
        source.docs(item)
        source.block("\(access)enum \(item.simpleName): RawRepresentable, Hashable, Sendable, FieldElement") {
            source in
            for value in values {
                source.docs(value)
                source.line("case \(item.caseName(value))")
            }
            source.line("/// A number that this version of the .proto does not know.")
            source.line("case unrecognized(Int32)")
            for alias in aliases {
                let first = values.first { $0.number == alias.number }!
                source.docs(alias)
                source.line("\(access)static var \(item.caseName(alias)): Self { .\(item.caseName(first)) }")
            }
            source.line("")
            source.block("\(access)init(rawValue: Int32)") { source in
                source.switchBlock("self = switch rawValue") { source in
                    for value in values { source.line("case \(value.number): .\(item.caseName(value))") }
                    source.line("default: .unrecognized(rawValue)")
                }
            }
            source.line("")
            source.block("\(access)var rawValue: Int32") { source in
                source.switchBlock("switch self") { source in
                    for value in values { source.line("case .\(item.caseName(value)): \(value.number)") }
                    source.line("case .unrecognized(let number): number")
                }
            }
            source.line("")
            // The C compiler chooses whether the numbers of an enum are signed.
            let type = c(item.cName)
            source.block("\(access)init(stored: \(type))") { source in
                source.line("self.init(rawValue: .init(truncatingIfNeeded: stored.rawValue))")
            }
            source.line("")
            source.block("\(access)var stored: \(type)") { source in
                source.line("\(type)(rawValue: .init(truncatingIfNeeded: rawValue))")
            }
        }
    }

    // MARK: Messages

    private func write(_ message: Descriptor, to source: inout Source) {
        source.docs(message)
        let oneofs = message.oneofs.filter { !$0.isPresence }
        source.block("\(access)struct \(message.simpleName): ProtobufMessage") { source in
            for field in message.plainFields {
                source.docs(field)
                writeStored(field, of: message, to: &source)
            }
            for oneof in oneofs {
                source.docs(oneof)
                source.line("\(access)var \(oneof.swiftName): \(oneof.enumName)?")
            }
            source.line("")
            source.line("\(access)init() {}")
            source.line("\(access)static var fullName: String { \"\(message.fullName)\" }")
            for oneof in oneofs { writeEnum(oneof, of: message, isView: false, to: &source) }
            writeInit(message, oneofs, to: &source)
            writeMakeView(message, oneofs, to: &source)
            writeView(message, oneofs, to: &source)
            for item in message.enums {
                source.line("")
                write(item, to: &source)
            }
            for item in message.messages {
                source.line("")
                item.options.mapEntry ? writeMapEntry(item, to: &source) : write(item, to: &source)
            }
        }
    }

    /// The value that holds a map is a dictionary, so that an entry is seen in views only.
    private func writeMapEntry(_ entry: Descriptor, to source: inout Source) {
        source.line("/// An entry of a map.")
        source.block("\(access)enum \(entry.simpleName)") { writeView(entry, [], to: &$0) }
    }

    private func writeStored(_ field: FieldDescriptor, of message: Descriptor, to source: inout Source) {
        let name = field.swiftName
        if let (key, value) = field.messageType?.keyAndValue {
            source.line("\(access)var \(name): [\(valueType(key)): \(valueType(value))] = [:]")
        } else if field.isRepeated {
            source.line("\(access)var \(name): [\(valueType(field))] = []")
        } else if field.isBoxed(in: message) {
            // A struct cannot hold itself, an array of at most one can.
            let storage = "_" + lowerCamel(field.name)
            source.block("\(access)var \(name): \(valueType(field))?") { source in
                source.line("get { \(storage).first }")
                source.line("set { \(storage) = newValue.map { [$0] } ?? [] }")
            }
            source.line("private var \(storage): [\(valueType(field))] = []")
        } else if field.isMessage || field.isOptional {
            source.line("\(access)var \(name): \(valueType(field))?")
        } else {
            source.line("\(access)var \(name): \(valueType(field)) = \(zero(field))")
        }
    }

    private func writeEnum(
        _ oneof: OneofDescriptor, of message: Descriptor, isView: Bool, to source: inout Source
    ) {
        source.line("")
        source.line("/// What `\(oneof.name)` holds.")
        let isBoxed = !isView && oneof.fields.contains { $0.isBoxed(in: message) }
        let conformance = isView ? "" : ": Hashable, Sendable"
        source.block("\(access)\(isBoxed ? "indirect " : "")enum \(oneof.enumName)\(conformance)") { source in
            for field in oneof.fields {
                source.docs(field)
                source.line("case \(field.caseName)(\(isView ? viewType(field) : valueType(field)))")
            }
        }
    }

    private func writeInit(_ message: Descriptor, _ oneofs: [OneofDescriptor], to source: inout Source) {
        source.line("")
        source.block("\(access)init(_ view: View)") { source in
            for field in message.plainFields {
                let name = field.swiftName
                if let (key, value) = field.messageType?.keyAndValue {
                    // An absent value stands for the default, a later entry for an earlier one.
                    let copy =
                        value.isMessage
                        ? "$0.value.map { \(toValue("$0", value)) } ?? .init()" : toValue("$0.value", value)
                    let pairs = "view.\(name).map { (\(toValue("$0.key", key)), \(copy)) }"
                    source.line("self.\(name) = .init(\(pairs), uniquingKeysWith: { $1 })")
                } else if field.isRepeated || field.isMessage || field.isOptional {
                    let copy = toValue("$0", field)
                    let all = field.isRepeated ? ".init(view.\(name))" : "view.\(name)"
                    source.line("self.\(name) = \(copy == "$0" ? all : "view.\(name).map { \(copy) }")")
                } else {
                    source.line("self.\(name) = \(toValue("view.\(name)", field))")
                }
            }
            for oneof in oneofs {
                writeSwitch(
                    oneof, "self.\(oneof.swiftName) = switch view.\(oneof.swiftName)", toValue, to: &source)
            }
        }
    }

    private func writeMakeView(_ message: Descriptor, _ oneofs: [OneofDescriptor], to source: inout Source) {
        source.line("")
        source.block("\(access)func view(in arena: Arena) -> View") { source in
            source.line("let view = View(in: arena)")
            for field in message.plainFields {
                let name = field.swiftName
                let setter = "view.set\(upperCamel(field.name))"
                if let (key, value) = field.messageType?.keyAndValue {
                    let entries = "\(setter)(count: self.\(name).count, in: arena)"
                    source.block("for (entry, item) in zip(\(entries), self.\(name))") { source in
                        source.line("entry.key = \(toView("item.key", key))")
                        source.line("entry.value = \(toView("item.value", value))")
                    }
                } else {
                    let copy = toView("$0", field)
                    let all = copy == "$0" ? "self.\(name)" : "self.\(name).map { \(copy) }"
                    if field.isRepeated {
                        source.line("\(setter)(\(all), in: arena)")
                    } else if field.isMessage || field.isOptional {
                        source.line("view.\(name) = \(all)")
                    } else {
                        source.line("view.\(name) = \(toView("self.\(name)", field))")
                    }
                }
            }
            for oneof in oneofs {
                writeSwitch(
                    oneof, "view.\(oneof.swiftName) = switch self.\(oneof.swiftName)", toView, to: &source)
            }
            source.line("return view")
        }
    }

    private func writeSwitch(
        _ oneof: OneofDescriptor, _ head: String, _ copy: (String, FieldDescriptor) -> String,
        to source: inout Source
    ) {
        source.switchBlock(head) { source in
            for field in oneof.fields {
                source.line("case .\(field.caseName)(let value): .\(field.caseName)(\(copy("value", field)))")
            }
            source.line("case nil: nil")
        }
    }

    // MARK: Views

    private func writeView(_ message: Descriptor, _ oneofs: [OneofDescriptor], to source: inout Source) {
        let type = c(message.cName)
        source.line("")
        source.line("/// The message in an arena: a reference, valid until the arena is reset.")
        source.line("@safe")
        source.block("\(access)struct View: MessageView") { source in
            source.line("\(access)let raw: UnsafeMutablePointer<\(type)>")
            source.line("\(access)init(raw: UnsafeMutablePointer<\(type)>) { self.raw = raw }")
            source.line("nonisolated(unsafe) \(access)static let descriptor = {")
            source.line("    var message = \(type)()")
            source.line("    \(message.cInit)(&message)")
            source.line("    return message.base.descriptor!")
            source.line("}()")
            for field in message.plainFields {
                source.line("")
                source.docs(field)
                writeAccessor(field, to: &source)
            }
            for oneof in oneofs {
                source.line("")
                source.docs(oneof)
                writeAccessor(oneof, to: &source)
                writeEnum(oneof, of: message, isView: true, to: &source)
            }
        }
    }

    private func writeAccessor(_ field: FieldDescriptor, to source: inout Source) {
        let name = field.swiftName
        let type = viewType(field)
        let inC = "raw.pointee.\(field.cName)"
        if field.isRepeated {
            writeRepeated(field, to: &source)
        } else if field.isOptional {
            let inCase = "raw.pointee.\(field.containingOneof!.cCaseField).rawValue"
            source.block("\(access)var \(name): \(type)?") { source in
                source.line("get { \(inCase) == \(field.number) ? \(fromC(inC, field)) : nil }")
                source.block("nonmutating set") { source in
                    source.line("\(inCase) = newValue == nil ? 0 : \(field.number)")
                    source.line("if let newValue { \(inC) = \(toC("newValue", field)) }")
                }
            }
        } else if field.isMessage {
            source.block("\(access)var \(name): \(type)?") { source in
                source.line("get { \(inC).map(\(type).init(raw:)) }")
                source.line("nonmutating set { \(inC) = newValue?.raw }")
            }
        } else {
            source.block("\(access)var \(name): \(type)") { source in
                source.line("get { \(fromC(inC, field)) }")
                source.line("nonmutating set { \(inC) = \(toC("newValue", field)) }")
            }
        }
    }

    private func writeRepeated(_ field: FieldDescriptor, to source: inout Source) {
        let type = viewType(field)
        let inC = "raw.pointee.\(field.cName)"
        let count = "raw.pointee.\(field.cCount)"
        let setter = "\(access)func set\(upperCamel(field.name))"
        source.line("\(access)var \(field.swiftName): Repeated<\(type)> { .init(\(inC), count: \(count)) }")
        if field.isMessage {
            source.line("/// Makes `count` empty messages, to be filled.")
            source.line("@discardableResult")
            source.block("\(setter)(count: Int, in arena: Arena) -> Repeated<\(type)>") { source in
                source.line("\(inC) = arena.emptyMessages(\(type).self, count: count)")
                source.line("\(count) = count")
                source.line("return self.\(field.swiftName)")
            }
        }
        if !field.isMap {
            source.block("\(setter)(_ elements: [\(type)], in arena: Arena)") { source in
                source.line("\(inC) = arena.array(elements)")
                source.line("\(count) = elements.count")
            }
        }
    }

    private func writeAccessor(_ oneof: OneofDescriptor, to source: inout Source) {
        let inCase = "raw.pointee.\(oneof.cCaseField).rawValue"
        source.block("\(access)var \(oneof.swiftName): \(oneof.enumName)?") { source in
            source.block("get") { source in
                source.switchBlock("switch \(inCase)") { source in
                    for field in oneof.fields {
                        let value = fromC("raw.pointee.\(field.cName)", field)
                        source.line("case \(field.number): .\(field.caseName)(\(value))")
                    }
                    source.line("default: nil")
                }
            }
            source.block("nonmutating set") { source in
                source.switchBlock("switch newValue") { source in
                    for field in oneof.fields {
                        source.line("case .\(field.caseName)(let value):")
                        source.line("    \(inCase) = \(field.number)")
                        source.line("    raw.pointee.\(field.cName) = \(toC("value", field))")
                    }
                    source.line("case nil: \(inCase) = 0")
                }
            }
        }
    }

    // MARK: Types

    private func valueType(_ field: FieldDescriptor) -> String {
        switch field.type {
        case .double: "Double"
        case .float: "Float"
        case .int64, .sint64, .sfixed64: "Int64"
        case .uint64, .fixed64: "UInt64"
        case .int32, .sint32, .sfixed32: "Int32"
        case .uint32, .fixed32: "UInt32"
        case .bool: "Bool"
        case .string: "String"
        case .bytes: "[UInt8]"
        case .message, .group: field.messageType.swiftName
        case .enum: field.enumType.swiftName
        }
    }

    private func viewType(_ field: FieldDescriptor) -> String {
        switch field.type {
        case .string: "Text"
        case .bytes: "ByteView"
        case .message, .group: field.messageType.swiftName + ".View"
        default: valueType(field)
        }
    }

    private func zero(_ field: FieldDescriptor) -> String {
        switch field.type {
        case .string: "\"\""
        case .bytes: "[]"
        case .bool: "false"
        case .enum: ".init(rawValue: 0)"
        default: "0"
        }
    }

    /// Whether protobuf-c stores the field in another type than a view shows.
    private func differsInC(_ field: FieldDescriptor) -> Bool {
        switch field.type {
        case .string, .bytes, .bool, .enum, .message, .group: true
        default: false
        }
    }

    private func fromC(_ name: String, _ field: FieldDescriptor) -> String {
        differsInC(field) ? "\(viewType(field))(stored: \(name))" : name
    }

    private func toC(_ name: String, _ field: FieldDescriptor) -> String {
        differsInC(field) ? "\(name).stored" : name
    }

    /// A view's element as a value.
    private func toValue(_ name: String, _ field: FieldDescriptor) -> String {
        switch field.type {
        case .string, .bytes, .message, .group: "\(valueType(field))(\(name))"
        default: name
        }
    }

    /// A value's element as a view.
    private func toView(_ name: String, _ field: FieldDescriptor) -> String {
        switch field.type {
        case .string: "arena.text(\(name))"
        case .bytes: "arena.bytes(\(name).span)"
        case .message, .group: "\(name).view(in: arena)"
        default: name
        }
    }
}

/// The elements that are the first with their key.
private func distinct<Element, Key: Hashable>(_ elements: [Element], by key: (Element) -> Key) -> [Element] {
    var seen: Set<Key> = []
    return elements.filter { seen.insert(key($0)).inserted }
}
