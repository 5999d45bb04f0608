// Writes the services of one .proto: a client stub over a channel, a server protocol and its registration.
import SwiftProtobufPluginLibrary

struct ClientFile {
    let file: FileDescriptor
    let options: Options

    init(_ file: FileDescriptor, _ options: Options) {
        self.file = file
        self.options = options
    }

    func write(to source: inout Source) {
        let access = options.access
        for module in options.imports { source.line("\(access)import \(module)") }
        for service in file.services {
            source.line("")
            source.docs(service)
            source.block("\(access)struct \(service.name)Client: Sendable") { source in
                source.line("private let channel: Channel")
                source.line("")
                source.line("/// Calls go over `channel`, which must outlive them.")
                source.line("\(access)init(channel: Channel) { self.channel = channel }")
                for method in service.methods {
                    source.line("")
                    source.docs(method)
                    write(method, to: &source)
                }
            }
        }
    }

    private func write(_ method: MethodDescriptor, to source: inout Source) {
        let request = method.inputType.swiftName
        let response = method.outputType.swiftName
        let many = method.clientStreaming
        let argument =
            many
            ? "_ requests: some AsyncSequence<\(request), any Error> & Sendable" : "_ request: \(request)"
        let result =
            method.serverStreaming
            ? "-> AsyncThrowingStream<\(response), any Error>" : "async throws(Status) -> \(response)"
        let head =
            "\(options.access)func \(method.swiftName)(\(argument), options: CallOptions = CallOptions())"
        source.block("\(head) \(result)") { source in
            let call =
                switch (method.clientStreaming, method.serverStreaming) {
                case (false, false): "try await channel.unary"
                case (false, true): "channel.serverStreaming"
                case (true, false): "try await channel.clientStreaming"
                case (true, true): "channel.bidirectional"
                }
            source.line("\(call)(\"\(method.path)\", \(many ? "requests" : "request"), options: options)")
        }
    }
}

struct ServerFile {
    let file: FileDescriptor
    let options: Options

    init(_ file: FileDescriptor, _ options: Options) {
        self.file = file
        self.options = options
    }

    func write(to source: inout Source) {
        let access = options.access
        for module in options.imports { source.line("\(access)import \(module)") }
        for service in file.services {
            source.line("")
            source.docs(service)
            if service.hasDocs { source.line("///") }
            source.line("/// A method may answer through its call at once, later, or from an async body.")
            source.line("/// Confined to its loop.")
            source.block("\(access)protocol \(service.name)Server: AnyObject") { source in
                for (index, method) in service.methods.enumerated() {
                    if index > 0 { source.line("") }
                    source.docs(method)
                    let request = method.inputType.swiftName
                    let call = "_ call: ServerCall<\(method.outputType.swiftName)>"
                    let rest =
                        method.clientStreaming
                        ? "(\(call)) -> MessageReceiver<\(request)>" : "(_ request: \(request).View, \(call))"
                    source.line("func \(method.swiftName)\(rest)")
                }
            }
            source.line("")
            source.block("extension ServiceRegistry") { source in
                source.line("/// Serves `\(service.fullName)` by `service`.")
                source.block("\(access)mutating func register(_ service: some \(service.name)Server)") {
                    source in
                    for method in service.methods { writeRegistration(method, to: &source) }
                }
            }
        }
    }

    private func writeRegistration(_ method: MethodDescriptor, to source: inout Source) {
        let kind =
            switch (method.clientStreaming, method.serverStreaming) {
            case (false, false): "unary"
            case (false, true): "serverStreaming"
            case (true, false): "clientStreaming"
            case (true, true): "bidirectional"
            }
        source.line("\(kind)(")
        source.line(
            "    \"\(method.path)\", \(method.inputType.swiftName).self, \(method.outputType.swiftName).self")
        source.line(") { service.\(method.swiftName)(\(method.clientStreaming ? "$0" : "$0, $1")) }")
    }
}
