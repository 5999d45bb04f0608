// swift-tools-version: 6.2
// The protoc plugin that makes Junction's Swift from .proto files. A package of its own, so that building
// Junction does not build swift-protobuf.
import PackageDescription

let package = Package(
    name: "protoc-gen-junction",
    dependencies: [.package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0")],
    targets: [
        .executableTarget(
            name: "protoc-gen-junction",
            dependencies: [.product(name: "SwiftProtobufPluginLibrary", package: "swift-protobuf")],
            swiftSettings: [.treatAllWarnings(as: .error)])
    ],
    swiftLanguageModes: [.v6]
)
