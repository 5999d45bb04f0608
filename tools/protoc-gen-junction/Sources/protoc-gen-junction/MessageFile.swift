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
        for module in options.imports { source.line("\(access)import \(module)") }
        for item in file.enums { inNamespace(&source) { write(item, to: &$0) } }
        for item in file.messages { inNamespace(&source) { write(item, to: &$0) } }
    }

    private func inNamespace(_ source: inout Source, _ body: (inout Source) -> Void) {
        source.line("")
        source.block("extension \(namespace(ofPackage: file.package))", body)
    }

    // MARK: Enums

    private func write(_ item: EnumDescriptor, to source: inout Source) {
        source.docs(item.protoSourceComments())
        let name = item.swiftName.split(separator: ".").last!
        source.block("\(access)enum \(name): RawRepresentable, Hashable, Sendable") { source in
            var numbers: Set<Int32> = []
            let values = item.values.filter { numbers.insert($0.number).inserted }
            for value in values {
                source.docs(value.protoSourceComments())
                source.line("case \(item.caseName(value))")
            }
            source.line("/// A number that this version of the .proto does not know.")
            source.line("case unrecognized(Int32)")
            for value in item.values where !values.contains(where: { $0 === value }) {
                let first = values.first { $0.number == value.number }!
                source.docs(value.protoSourceComments())
                source.line("\(access)static var \(item.caseName(value)): Self { .\(item.caseName(first)) }")
            }
            source.line("")
            source.block("\(access)init(rawValue: Int32)") { source in
                source.block("self = switch rawValue") { source in
                    for value in values { source.line("case \(value.number): .\(item.caseName(value))") }
                    source.line("default: .unrecognized(rawValue)")
                }
            }
            source.line("")
            source.block("\(access)var rawValue: Int32") { source in
                source.block("switch self") { source in
                    for value in values { source.line("case .\(item.caseName(value)): \(value.number)") }
                    source.line("case .unrecognized(let number): number")
                }
            }
        }
    }

    // MARK: Messages

    private func write(_ message: Descriptor, to source: inout Source) {
        let fields = message.fields
        let oneofs = message.oneofs.filter { !$0.isPresence }
        source.docs(message.protoSourceComments())
        source.block("\(access)struct \(message.simpleName): ProtobufMessage, Hashable") { source in
            if !message.options.mapEntry {
                for field in fields where field.containingOneof == nil || field.isOptionalScalar {
                    source.docs(field.protoSourceComments())
                    writeStored(field, of: message, to: &source)
                }
                for oneof in oneofs {
                    source.docs(oneof.protoSourceComments())
                    source.line("\(access)var \(oneof.swiftName): \(oneof.enumName)?")
                }
            } else {
                for field in fields { source.line("\(access)var \(field.swiftName): \(valueType(field)) = \(zero(field))") }
            }
            source.line("")
            source.line("\(access)init() {}")
            source.line("\(access)static var fullName: String { \"\(message.fullName)\" }")
            for oneof in oneofs { writeEnum(oneof, isView: false, to: &source) }
            writeConversions(message, oneofs, to: &source)
            writeView(message, oneofs, to: &source)
            for item in message.enums { write(item, to: &source) }
            for item in message.messages { write(item, to: &source) }
        }
    }

    private func writeStored(_ field: FieldDescriptor, of message: Descriptor, to source: inout Source) {
        let name = field.swiftName
        if field.isMap {
            let entry = field.messageType!
            let type = "[\(valueType(entry.fields[0])): \(valueType(entry.fields[1]))]"
            source.line("\(access)var \(name): \(type) = [:]")
        } else if field.isRepeated {
            source.line("\(access)var \(name): [\(valueType(field))] = []")
        } else if isBoxed(field, of: message) {
            // A struct cannot hold itself, an array of at most one can.
            let type = valueType(field)
            source.block("\(access)var \(name): \(type)?") { source in
                source.line("get { \(storage(field)).first }")
                source.line("set { \(storage(field)) = newValue.map { [$0] } ?? [] }")
            }
            source.line("private var \(storage(field)): [\(type)] = []")
        } else if field.isMessage || field.isOptionalScalar {
            source.line("\(access)var \(name): \(valueType(field))?")
        } else {
            source.line("\(access)var \(name): \(valueType(field)) = \(zero(field))")
        }
    }

    private func isBoxed(_ field: FieldDescriptor, of message: Descriptor) -> Bool {
        field.isMessage && !field.isRepeated
            && (field.messageType.fullName == message.fullName || field.messageType.contains(message))
    }

    private func storage(_ field: FieldDescriptor) -> String { lowerCamel(field.name) + "Storage" }

    private func writeEnum(_ oneof: OneofDescriptor, isView: Bool, to source: inout Source) {
        source.line("")
        source.line("/// What `\(oneof.name)` holds.")
        let head = isView ? "" : "indirect "
        source.block("\(access)\(head)enum \(oneof.enumName)\(isView ? "" : ": Hashable, Sendable")") { source in
            for field in oneof.fields {
                source.docs(field.protoSourceComments())
                source.line("case \(field.swiftName)(\(isView ? viewType(field) : valueType(field)))")
            }
        }
    }

    private func writeConversions(_ message: Descriptor, _ oneofs: [OneofDescriptor], to source: inout Source) {
        let fields = message.fields.filter { $0.containingOneof == nil || $0.isOptionalScalar }
        source.line("")
        source.block("\(access)init(_ view: View)") { source in
            for field in fields {
                let name = field.swiftName
                if field.isMap {
                    let entry = field.messageType!
                    let key = toValue("$0.key", entry.fields[0])
                    let value = toValue("$0.value" + (entry.fields[1].isMessage ? "!" : ""), entry.fields[1])
                    source.line(
                        "\(name) = Dictionary(view.\(name).filter { \(entry.fields[1].isMessage ? "$0.value != nil" : "_ in true") }.map { (\(key), \(value)) }, uniquingKeysWith: { $1 })")
                } else if field.isRepeated {
                    source.line("\(name) = view.\(name).map { \(toValue("$0", field)) }")
                } else if field.isMessage || field.isOptionalScalar {
                    source.line("\(name) = view.\(name).map { \(toValue("$0", field)) }")
                } else {
                    source.line("\(name) = \(toValue("view.\(name)", field))")
                }
            }
            for oneof in oneofs {
                source.block("\(oneof.swiftName) = switch view.\(oneof.swiftName)") { source in
                    for field in oneof.fields {
                        source.line("case .\(field.swiftName)(let value): .\(field.swiftName)(\(toValue("value", field)))")
                    }
                    source.line("case nil: nil")
                }
            }
        }
        source.line("")
        source.block("\(access)func view(in arena: Arena) -> View") { source in
            source.line("let view = View(in: arena)")
            for field in fields {
                let name = field.swiftName
                if field.isMap {
                    let entry = field.messageType!
                    source.block("for (entry, item) in zip(view.set\(upperCamel(field.name))(count: \(name).count, in: arena), \(name))") { source in
                        source.line("entry.key = \(toView("item.key", entry.fields[0]))")
                        source.line("entry.value = \(toView("item.value", entry.fields[1]))")
                    }
                } else if field.isRepeated {
                    let copy = toView("$0", field)
                    source.line("view.set\(upperCamel(field.name))(\(copy == "$0" ? name : "\(name).map { \(copy) }"), in: arena)")
                } else if field.isMessage || field.isOptionalScalar {
                    let copy = toView("$0", field)
                    source.line("view.\(name) = \(copy == "$0" ? name : "\(name).map { \(copy) }")")
                } else {
                    source.line("view.\(name) = \(toView(name, field))")
                }
            }
            for oneof in oneofs {
                source.block("view.\(oneof.swiftName) = switch \(oneof.swiftName)") { source in
                    for field in oneof.fields {
                        source.line("case .\(field.swiftName)(let value): .\(field.swiftName)(\(toView("value", field)))")
                    }
                    source.line("case nil: nil")
                }
            }
            source.line("return view")
        }
    }

    private func writeView(_ message: Descriptor, _ oneofs: [OneofDescriptor], to source: inout Source) {
        source.line("")
        source.line("/// The message in an arena: a reference, valid until the arena is reset.")
        source.line("@safe")
        source.block("\(access)struct View: MessageView") { source in
            source.line("\(access)let raw: UnsafeMutablePointer<\(message.cName)>")
            source.line("\(access)init(raw: UnsafeMutablePointer<\(message.cName)>) { self.raw = raw }")
            source.block("nonisolated(unsafe) \(access)static let descriptor: UnsafePointer<ProtobufCMessageDescriptor> =", end: "}()") { source in
                source.line("var message = \(message.cName)()")
                source.line("\(message.cInit)(&message)")
                source.line("return message.base.descriptor")
            }
            for field in message.fields where field.containingOneof == nil || field.isOptionalScalar {
                source.line("")
                source.docs(field.protoSourceComments())
                writeAccessor(field, of: message, to: &source)
            }
            for oneof in oneofs {
                source.line("")
                source.docs(oneof.protoSourceComments())
                source.block("\(access)var \(oneof.swiftName): \(oneof.enumName)?") { source in
                    source.block("get") { source in
                        source.block("switch raw.pointee.\(oneof.cCaseField).rawValue") { source in
                            for field in oneof.fields {
                                source.line("case \(field.number): .\(field.swiftName)(\(read(field)))")
                            }
                            source.line("default: nil")
                        }
                    }
                    source.block("nonmutating set") { source in
                        source.block("switch newValue") { source in
                            for field in oneof.fields {
                                source.line("case .\(field.swiftName)(let value):")
                                source.line("    raw.pointee.\(oneof.cCaseField) = \(oneof.cCaseType)(rawValue: \(field.number))")
                                source.line("    raw.pointee.\(field.cName) = \(rawValue("value", field))")
                            }
                            source.line("case nil: raw.pointee.\(oneof.cCaseField) = \(oneof.cCaseType)(rawValue: 0)")
                        }
                    }
                }
                writeEnum(oneof, isView: true, to: &source)
            }
        }
    }

    private func writeAccessor(_ field: FieldDescriptor, of message: Descriptor, to source: inout Source) {
        let name = field.swiftName
        let c = "raw.pointee.\(field.cName)"
        let count = "raw.pointee.n_\(field.cName.filter { $0 != "`" })"
        if field.isRepeated {
            let (type, element) = repeated(field)
            source.line("\(access)var \(name): \(type) { \(type)(\(c), count: Int(\(count))) }")
            if field.isMessage {
                source.line("/// Makes `count` empty messages, to be filled.")
                source.line("@discardableResult")
                source.block("\(access)func set\(upperCamel(field.name))(count: Int, in arena: Arena) -> \(type)") { source in
                    source.line("\(c) = arena.emptyMessages(\(element).self, count: count)")
                    source.line("\(count) = count")
                    source.line("return \(name)")
                }
                if !field.isMap {
                    source.block("\(access)func set\(upperCamel(field.name))(_ messages: [\(element)], in arena: Arena)") { source in
                        source.line("\(c) = arena.array(messages.map(\\.raw))")
                        source.line("\(count) = messages.count")
                    }
                }
            } else {
                source.block("\(access)func set\(upperCamel(field.name))(_ values: [\(viewType(field))], in arena: Arena)") { source in
                    let item = rawValue("$0", field)
                    source.line("\(c) = arena.array(\(item == "$0" ? "values" : "values.map { \(item) }"))")
                    source.line("\(count) = values.count")
                }
            }
        } else if field.isOptionalScalar {
            let oneof = field.containingOneof!
            source.block("\(access)var \(name): \(viewType(field))?") { source in
                source.line("get { raw.pointee.\(oneof.cCaseField).rawValue == \(field.number) ? \(read(field)) : nil }")
                source.block("nonmutating set") { source in
                    source.block("guard let value = newValue else") { source in
                        source.line("raw.pointee.\(oneof.cCaseField) = \(oneof.cCaseType)(rawValue: 0)")
                        source.line("return")
                    }
                    source.line("raw.pointee.\(oneof.cCaseField) = \(oneof.cCaseType)(rawValue: \(field.number))")
                    source.line("\(c) = \(rawValue("value", field))")
                }
            }
        } else if field.isMessage {
            source.block("\(access)var \(name): \(viewType(field))?") { source in
                source.line("get { \(c).map(\(viewType(field)).init(raw:)) }")
                source.line("nonmutating set { \(c) = newValue?.raw }")
            }
        } else {
            source.block("\(access)var \(name): \(viewType(field))") { source in
                source.line("get { \(read(field)) }")
                source.line("nonmutating set { \(c) = \(rawValue("newValue", field)) }")
            }
        }
    }

    // MARK: Types

    private func valueType(_ field: FieldDescriptor) -> String {
        switch field.type {
        case .string: "String"
        case .bytes: "[UInt8]"
        case .message, .group: field.messageType.swiftName
        case .enum: field.enumType.swiftName
        default: scalar(field)
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

    private func scalar(_ field: FieldDescriptor) -> String {
        switch field.type {
        case .double: "Double"
        case .float: "Float"
        case .int64, .sint64, .sfixed64: "Int64"
        case .uint64, .fixed64: "UInt64"
        case .int32, .sint32, .sfixed32: "Int32"
        case .uint32, .fixed32: "UInt32"
        case .bool: "Bool"
        default: preconditionFailure("\(field.fullName) is not a scalar")
        }
    }

    private func zero(_ field: FieldDescriptor) -> String {
        switch field.type {
        case .string: "\"\""
        case .bytes: "[]"
        case .bool: "false"
        case .enum: "\(field.enumType.swiftName)(rawValue: 0)"
        case .message, .group: "\(field.messageType.swiftName)()"
        default: "0"
        }
    }

    /// The collection that a view shows a repeated field as, and its element.
    private func repeated(_ field: FieldDescriptor) -> (String, String) {
        switch field.type {
        case .string: ("RepeatedText", "Text")
        case .bytes: ("RepeatedBytes", "ByteView")
        case .message, .group: ("RepeatedView<\(viewType(field))>", viewType(field))
        case .enum: ("RepeatedScalar<\(field.enumType.cName)>", field.enumType.cName)
        case .bool: ("RepeatedScalar<protobuf_c_boolean>", "Bool")
        default: ("RepeatedScalar<\(scalar(field))>", scalar(field))
        }
    }

    /// What the C field holds, as a view shows it.
    private func read(_ field: FieldDescriptor) -> String {
        let c = "raw.pointee.\(field.cName)"
        return switch field.type {
        case .string: "Text(\(c))"
        case .bytes: "ByteView(\(c))"
        case .bool: "\(c) != 0"
        case .enum: "\(field.enumType.swiftName)(rawValue: Int32(bitPattern: \(c).rawValue))"
        case .message, .group: "\(viewType(field))(raw: \(c))"
        default: c
        }
    }

    /// What goes into the C field for a view's `name`.
    private func rawValue(_ name: String, _ field: FieldDescriptor) -> String {
        switch field.type {
        case .string: "\(name).pointer"
        case .bytes: "\(name).raw"
        case .bool: "\(name) ? 1 : 0"
        case .enum: "\(field.enumType.cName)(rawValue: UInt32(bitPattern: \(name).rawValue))"
        case .message, .group: "\(name).raw"
        default: name
        }
    }

    /// A view's element as a value.
    private func toValue(_ name: String, _ field: FieldDescriptor) -> String {
        switch field.type {
        case .string: "String(\(name))"
        case .bytes: "[UInt8](\(name))"
        case .message, .group: "\(field.messageType.swiftName)(\(name))"
        case .enum where field.isRepeated: "\(field.enumType.swiftName)(rawValue: Int32(bitPattern: \(name).rawValue))"
        case .bool where field.isRepeated: "\(name) != 0"
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
